"""What the classifiers say: of alerts and of objects, with the features it rests on; outliers; drift."""

import sqlalchemy as sa

from alerce_dagster.storage.tables.base import Json, metadata

classification = sa.Table(
    "classification",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("candid", sa.BigInteger, primary_key=True),
    sa.Column("classifier", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, nullable=False),
    sa.Column("mjd", sa.Double, nullable=False),
    sa.Column("class_name", sa.Text, comment="most probable class; null when there is no answer"),
    sa.Column("probability", sa.Double, comment="calibrated probability of class_name"),
    sa.Column("probabilities", Json, comment="of every class; null when there is no answer"),
    sa.Column("reason", sa.Text, nullable=False, comment="what the answer rests on, or why there is none"),
    sa.Column("model", sa.Text, nullable=False, comment="hash of the model"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("prediction_set", Json, comment="classes one of which is the true one in 90 % of cases; null for stamps"),
    sa.Column("inputs_version", sa.Text, comment="of the features and of how light curves are read; null for stamps"),
    sa.Column("inputs_hash", sa.Text, comment="of the light curve that was classified; null for stamps"),
    sa.Column("n_epochs", sa.BigInteger, comment="epochs of that light curve"),
    sa.Column("evidence", Json, comment="what each part adds to the log posterior; null unless combined"),
    sa.Index("classification_by_object", "survey", "oid", "classifier"),
    sa.Index("classification_by_class", "survey", "classifier", "class_name", "mjd"),
    sqlite_with_rowid=False,
)

object_class = sa.Table(
    "object_class",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("classifier", sa.Text, primary_key=True),
    sa.Column("class_name", sa.Text),
    sa.Column("probability", sa.Double),
    sa.Column("probabilities", Json, comment="mean over the object's classified alerts"),
    sa.Column("n_alerts", sa.BigInteger, nullable=False, comment="alerts that the answer rests on"),
    sa.Column("last_mjd", sa.Double, comment="of these alerts"),
    sa.Column("model", sa.Text, nullable=False, comment="hash of the model"),
    sa.Index("object_class_ranked", "survey", "classifier", "class_name", "probability"),
    sa.Index("object_class_by_probability", "survey", "classifier", "probability"),
    sa.Index("object_class_by_model", "survey", "classifier", "model"),
    sqlite_with_rowid=False,
)

feature = sa.Table(
    "feature",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True, comment="of the feature set: which names, in which order"),
    sa.Column("features", sa.LargeBinary, nullable=False, comment="float32, little-endian; NaN where undefined"),
    sa.Column("n_det", sa.BigInteger, nullable=False, comment="detections in g and r that they rest on"),
    sa.Column("last_mjd", sa.Double, nullable=False, comment="last of these detections, barycentric [d]"),
    sa.Column("inputs", sa.Text, nullable=False, comment="hash of the measurements and catalogue values they rest on"),
    sa.Column("run_id", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

outlier = sa.Table(
    "outlier",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("top_class", sa.Text, primary_key=True, comment="among whose objects it is judged"),
    sa.Column("score", sa.Double, nullable=False, comment="share of that class's labelled objects that are less odd"),
    sa.Column("baseline", sa.Double, nullable=False, comment="the same, by the isolation forest"),
    sa.Column("nearest", sa.Text, nullable=False, comment="class of that top class that it is least unlike"),
    sa.Column("place", Json, nullable=False, comment="coordinates in the model's space, for likeness"),
    sa.Column("mjd", sa.Double, nullable=False, comment="last detection it rests on"),
    sa.Column("inputs_hash", sa.Text, nullable=False, comment="of the light curve"),
    sa.Column("model", sa.Text, nullable=False, comment="hash of the model"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Index("outlier_ranked", "survey", "top_class", "score"),
    sqlite_with_rowid=False,
)

outlier_feedback = sa.Table(
    "outlier_feedback",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("person", sa.Text, primary_key=True),
    sa.Column("mark", sa.Text, nullable=False, comment="interesting, junk or known"),
    sa.Column("note", sa.Text),
    sa.Column("marked_at", sa.DateTime(timezone=True), nullable=False),
    sqlite_with_rowid=False,
)

light_curve_input = sa.Table(
    "light_curve_input",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("night", sa.Date, nullable=False, comment="whose alerts brought it up to date"),
    sa.Column("inputs_version", sa.Text, nullable=False),
    sa.Column("inputs_hash", sa.Text, nullable=False, comment="of the light curve"),
    sa.Column("n_epochs", sa.BigInteger, nullable=False),
    sa.Column("inputs", Json, nullable=False, comment="the classifier's inputs, in its order; null where undefined"),
    sa.Index("light_curve_input_by_night", "survey", "night"),
    sqlite_with_rowid=False,
)

input_summary = sa.Table(
    "input_summary",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("night", sa.Date, primary_key=True),
    sa.Column("input", sa.Text, primary_key=True, comment="of the light-curve classifier"),
    sa.Column("inputs_version", sa.Text, nullable=False),
    sa.Column("n", sa.BigInteger, nullable=False, comment="light curves classified in the night"),
    sa.Column("n_missing", sa.BigInteger, nullable=False, comment="of these, without a value"),
    sa.Column("counts", Json, nullable=False, comment="values by decile of the labelled set"),
    sqlite_with_rowid=False,
)

drift_finding = sa.Table(
    "drift_finding",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("night", sa.Date, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True, comment="inputs or classes, of the light-curve classifier"),
    sa.Column("name", sa.Text, primary_key=True, comment="of the input or class that has changed"),
    sa.Column("what", sa.Text, nullable=False, comment="what of it has changed"),
    sa.Column("before", sa.Double, nullable=False, comment="in the eight weeks before"),
    sa.Column("now", sa.Double, nullable=False, comment="in the night"),
    sa.Column("since", sa.Date, nullable=False, comment="first night of the change"),
    sqlite_with_rowid=False,
)
