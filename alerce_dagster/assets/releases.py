"""Data releases as assets: light curves as released, recalibrated, and what varies.

Partitions are fields of releases, `dr5/000250`; they come into being as their files do (`sensors.releases`).
"""

import dagster as dg
from pydantic import Field

from alerce_dagster.assets import checks
from alerce_dagster.assets.steps import explained
from alerce_dagster.assets.survey import OWNERS, RETRIES

PARTITIONS = dg.DynamicPartitionsDefinition(name="release_fields")
JOB = "dr_field"


class LightcurvesConfig(dg.Config):
    """What to load into the field."""

    files: list[str] = Field(default_factory=list)
    """Parquet files, folders of them, or http(s) URLs, which are fetched first and taken up again where they broke off.
    Empty: the field's files in the folder that ALERCE_RELEASES names."""


def _options(name: str, description: str, kinds: set[str]) -> dict:
    return {
        "name": name,
        "key_prefix": "dr",
        "group_name": "dr",
        "partitions_def": PARTITIONS,
        "description": description,
        "kinds": kinds,
        "owners": OWNERS,
        "pool": "dr_writer",
        "retry_policy": RETRIES,
        "check_specs": checks.specs("dr", name, of="dr/"),
    }


@dg.asset(
    **_options(
        "lightcurves",
        "Light curves of a field as released, all channels and filters, joined into sources; HEALPix-partitioned.",
        {"python", "parquet"},
    )
)
def lightcurves(context: dg.AssetExecutionContext, config: LightcurvesConfig) -> dg.MaterializeResult:
    """Load the field's files."""
    from alerce_dagster.assets import release_report
    from alerce_dagster.releases.fields import make_lightcurves
    from alerce_dagster.releases.files import files_of, find_files
    from alerce_dagster.settings import Settings, releases_source

    settings = Settings.from_environment()
    with explained():
        places = config.files or [str(file) for file in files_of(context.partition_key, releases_source())]
        files, failed = find_files(places, settings.downloads, lambda *_: None)
        summary = make_lightcurves(files, settings.releases / context.partition_key)
        summary.unreadable |= failed
        return release_report.lightcurves(summary)


@dg.asset(
    **_options(
        "recalibrated",
        "Magnitudes with the exposures' errors taken off, found from the constant stars, and errors that are right.",
        {"numba", "parquet"},
    ),
    deps=[lightcurves],
)
def recalibrated(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Recalibrate the field's channels."""
    from alerce_dagster.assets import release_report
    from alerce_dagster.releases.fields import make_recalibrated
    from alerce_dagster.settings import Settings

    with explained():
        return release_report.recalibrated(
            make_recalibrated(Settings.from_environment().releases / context.partition_key)
        )


@dg.asset(
    **_options(
        "variability",
        "Whether each light curve varies: statistics against their null distributions, probability, list of variables.",
        {"numba", "parquet"},
    ),
    deps=[recalibrated],
)
def variability(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Test the field's light curves."""
    from alerce_dagster.assets import release_report
    from alerce_dagster.releases.archive import n_rows
    from alerce_dagster.releases.fields import make_variability
    from alerce_dagster.settings import Settings

    folder = Settings.from_environment().releases / context.partition_key
    with explained():
        summary, p_values = make_variability(folder)
        return release_report.variability(summary, p_values, n_rows(folder / "variability"))


@dg.asset(
    **_options(
        "comparison",
        "What the release and the alert stream see of sources whose class a catalogue knows; whether magnitudes agree.",
        {"python", "sql"},
    ),
    deps=[variability],
)
def comparison(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Compare the field with the stored objects and alerts, and the local catalogues."""
    from alerce_dagster.assets import release_report
    from alerce_dagster.catalogs.library import Library
    from alerce_dagster.resources import open_database
    from alerce_dagster.settings import Settings
    from alerce_dagster.stages.release_comparison import compare

    settings = Settings.from_environment()
    with explained():
        seen, agreements = compare(
            open_database(settings), Library(settings.catalogs), settings.releases / context.partition_key
        )
        return release_report.compared(seen, agreements)


PRODUCTS = (lightcurves, recalibrated, variability)
"""What a field is made into, in their order."""
ASSETS = (*PRODUCTS, comparison)
"""All; the comparison is made when it is asked for, since alerts and catalogues come at other times."""
