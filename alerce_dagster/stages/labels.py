"""What objects are, where catalogues in the database say so: labels for training and for the watch on calibration."""

import numpy as np
import sqlalchemy as sa

from alerce_dagster.classifiers.labelled_light_curves import CLASS_OF, FINE, HISTORIES
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.stages import Night
from alerce_dagster.stages.light_curves import stored_light_curves
from alerce_dagster.stages.lightcurve_classifications import CLASSIFIER
from alerce_dagster.storage import Stores, tables

# Columns of catalogues that hold a type.
TYPE_COLUMNS = ("class", "Class", "type", "Type", "VarType", "main_type", "otype")
NEAR = 1.5  # arcsec


def finest(name: str | None) -> str | None:
    """The finest class that a catalogue's or TNS's type is, None where it is none of ours."""
    if name is None:
        return None
    plain = name.strip().rstrip(":")
    found = FINE.get(plain) or HISTORIES.get(plain)
    return found or (plain if plain in CLASS_OF["15"] or plain in CLASS_OF["21"] else None)


def catalogue_labels(stores: Stores, survey: str) -> dict[str, str]:
    """Finest class of every object of the survey that exactly one kind of class is given by its nearest matches."""
    table = tables.xmatch
    chosen = sa.select(table.c.oid, table.c.columns).where(
        table.c.survey == survey, table.c.rank == 1, table.c.separation <= NEAR
    )
    said: dict[str, set[str]] = {}
    with stores.database.reading() as connection:
        for oid, columns in connection.execute(chosen):
            for name in TYPE_COLUMNS:
                if (found := finest(columns.get(name) if isinstance(columns.get(name), str) else None)) is not None:
                    said.setdefault(oid, set()).add(found)
    return {oid: next(iter(names)) for oid, names in said.items() if len(names) == 1}


def stored_labelled(stores: Stores, survey: str) -> tuple[Batch, np.ndarray]:
    """Light curves of the objects that catalogues name, and their finest classes."""
    labels = catalogue_labels(stores, survey)
    with stores.database.reading() as connection:
        curves = stored_light_curves(stores.database, connection, survey, sorted(labels))
    return curves.batch, np.array([labels[oid] for oid in curves.batch.oids], dtype=object)


def labelled_answers(night: Night, classes: tuple[str, ...]) -> tuple[list[str], np.ndarray]:
    """Class names of objects that catalogues name, and the light-curve classifier's probabilities (n, k) of them."""
    labels = catalogue_labels(night.stores, night.survey.name)
    table = tables.object_class
    chosen = sa.select(table.c.oid, table.c.probabilities).where(
        table.c.survey == night.survey.name, table.c.classifier == CLASSIFIER, table.c.probabilities.is_not(None)
    )
    names, rows = [], []
    with night.stores.database.reading() as connection:
        for oid, p in night.stores.database.select_by(connection, chosen, table.c.oid, sorted(labels)):
            name = CLASS_OF["15"].get(labels[oid])
            if name in classes:
                names.append(name)
                rows.append([p[c] for c in classes])
    return names, np.array(rows).reshape(-1, len(classes))
