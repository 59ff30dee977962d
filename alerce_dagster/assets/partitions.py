"""Partitions every asset shares: the night in which a packet was distributed."""

import dagster as dg

# ZTF numbers its nights from this day. The current night exists from its start: live batches belong to it.
nights = dg.DailyPartitionsDefinition(start_date="2017-01-01", end_offset=1)
