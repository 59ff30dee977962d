"""What every step over a night begins with: its stores and night opened, and its faults told in one sentence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import dagster as dg

from alerce_dagster.errors import AlerceError, StreamError
from alerce_dagster.resources import StoresResource
from alerce_dagster.stages import Night, Progress
from alerce_dagster.surveys import get_survey


def night_of(context: dg.AssetExecutionContext, survey: str, stores: StoresResource, progress: Progress) -> Night:
    """The night of the step's partition, with its stores opened."""
    with explained():
        opened = stores.open(f"{survey} {context.partition_key}")
    day = date.fromisoformat(context.partition_key)
    publishes = bool(os.environ.get("ALERCE_STREAMS_KAFKA"))
    return Night(opened, get_survey(survey), day, context.run.run_id, progress, publishes)


@contextmanager
def explained() -> Iterator[None]:
    """A fault that a person must mend ends the step with its one sentence and is not tried again.

    A cluster that does not answer is tried again.
    """
    try:
        yield
    except StreamError as error:
        raise dg.Failure(description=str(error)) from error
    except AlerceError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
