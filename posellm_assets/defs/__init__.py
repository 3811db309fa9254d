"""Everything that knows Dagster."""

import warnings

from dagster import BetaWarning, PreviewWarning

# Range backfills, partition-scoped checks and Pipes carry these labels in Dagster 1.13, which is what we pin. Said at
# every start they would only teach people to overlook warnings.
warnings.filterwarnings("ignore", category=BetaWarning)
warnings.filterwarnings("ignore", category=PreviewWarning)
