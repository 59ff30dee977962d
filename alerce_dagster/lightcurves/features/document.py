"""The table of all features, as Markdown, out of the definitions that the code works by."""

from alerce_dagster.lightcurves.features.builders import GOOD_STATUS, MIN_REAL_BOGUS
from alerce_dagster.lightcurves.features.curves import MAG_RANGE, MAX_MAG_ERR
from alerce_dagster.lightcurves.features.definitions import Feature, Group
from alerce_dagster.lightcurves.features.extraction import FEATURES, GROUPS, MIN_DETECTIONS, VERSION

_HEAD = f"""# Features

<!-- Written by `python -m alerce_dagster.lightcurves.features docs/features.md`; change the definitions, not this. -->

Feature set {VERSION}: {len(FEATURES)} numbers per object, under the names of ALeRCE's current ZTF set. A column is
`NAME_band`; the band is `g` or `r`, `g,r` for a value of both together, `nan` for one that belongs to no band. Where a
feature is undefined it is null. How far the values agree with ALeRCE's is measured in
[features_agreement.md](features_agreement.md).

**What enters.** Detections with a real-bogus score of at least {MIN_REAL_BOGUS} (or none), forced photometry with
status {" or ".join(GOOD_STATUS)}, in g and r. Apparent magnitudes (reference plus difference, error for an extended
source) between {MAG_RANGE[0]:.0f} and {MAG_RANGE[1]:.0f} with an error below {MAX_MAG_ERR:.0f}; difference fluxes in
µJy, signed. Times are barycentric: the light-travel time between the Earth and the barycentre is added, as ALeRCE does
under the name heliocentric. A measurement whose error is missing, infinite or not positive is left out. In the broker
an object gets features from {MIN_DETECTIONS} detections in g and r on.

**Data-release light curves** have no difference flux: the median flux of a band stands in for the reference.
**Difference magnitudes** alone (supernova files) have no apparent magnitude: what rests on it is null.

**Long light curves.** Where the work grows faster than the number of epochs n (period, time-scale variance, structure
function) bands with more than 2000 epochs are thinned out evenly.

"Epochs" below is the number of measurements of the band (or of the object) that a value needs.
"""


def markdown() -> str:
    """The page, one table per group."""
    return _HEAD + "\n" + "\n".join(_group(group) for group, _ in GROUPS)


def _group(group: Group) -> str:
    lines = [f"## {group.title}", "", f"From {group.data}. Source: {group.source}.", ""]
    lines.append("| name | bands | unit | meaning | formula | epochs | differs from ALeRCE |")
    lines.append("|---|---|---|---|---|---|---|")
    for block in group.blocks:
        lines += [_row(feature, block.bands) for feature in block.features]
    return "\n".join(lines) + "\n"


def _row(feature: Feature, bands: tuple[str, ...]) -> str:
    shown = ", ".join(bands) if bands != ("nan",) else "–"
    cells = [f"`{feature.name}`", shown, feature.unit or "–", feature.meaning, feature.formula or "–"]
    cells += [str(feature.min_epochs), feature.differs or "–"]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
