"""Kafka, in and out: which offsets to read, messages to packets, results to messages. No stores, no Dagster.

Offsets are counted by the broker's own ledger (`storage.offsets`), in the transaction of the alerts they brought;
Kafka's group offsets play no part.
"""
