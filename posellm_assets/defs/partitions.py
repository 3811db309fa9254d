"""The two sets of partitions: videos, and the snapshots that models are trained from. Both grow as footage arrives."""

import dagster as dg

videos = dg.DynamicPartitionsDefinition(name="videos")
"""One per video content, key `<sport>.<slug>.<hash8>` (`footage/keys.py`)."""

snapshots = dg.DynamicPartitionsDefinition(name="snapshots")
"""One per frozen list of videos, key `<scope>-<number>`."""
