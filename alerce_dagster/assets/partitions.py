"""Partitions every asset shares: the night in which a packet was distributed."""

import dagster as dg

from alerce_dagster.stages import FIRST_NIGHT

# The current night exists from its start: live batches belong to it.
nights = dg.DailyPartitionsDefinition(start_date=FIRST_NIGHT.isoformat(), end_offset=1)
