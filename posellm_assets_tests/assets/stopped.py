"""A program that was asked to stop and has saved, as far as its caller can tell."""

import sys

from posellm_assets.program import PREEMPTED

sys.exit(PREEMPTED)
