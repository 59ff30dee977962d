"""Targets and photometry of an ALeRCE on Dagster broker, for a TOM (Target and Observation Manager).

An app of its own, installed where the TOM runs: it needs TOM Toolkit and requests, and nothing of the broker.
"""
