"""How real the simulation looks: its packets beside real ones, field by field, and to a classifier.

`python -m alerce_dagster.simulation.realism --real FOLDER --out docs` writes the report. Nothing here takes part in
making packets.
"""
