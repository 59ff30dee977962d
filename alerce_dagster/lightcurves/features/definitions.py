"""What a feature is: its name, bands, unit, meaning and formula; the columns that a group of features fills."""

from dataclasses import dataclass

EACH = ("g", "r")  # one value per band
BOTH = ("g,r",)  # one value of both bands together
NONE = ("nan",)  # a value that belongs to no band

ALERCE = "ALeRCE lc_classifier 27.5.7"  # the definitions and names that are followed unless a feature says otherwise


@dataclass(frozen=True)
class Feature:
    """One feature; `name` and a band make its column, NAME_band."""

    name: str
    unit: str
    meaning: str
    formula: str
    min_epochs: int = 1  # epochs of the band (or object) below which it is undefined
    differs: str = ""  # from ALeRCE's value of the same name, and why


@dataclass(frozen=True)
class Block:
    """Features that are laid out together: band by band, and within a band in this order."""

    bands: tuple[str, ...]
    features: tuple[Feature, ...]


@dataclass(frozen=True)
class Group:
    """The features that one module computes.

    `data` says which measurements enter; `source` where the formulas come from.
    """

    title: str
    data: str
    source: str
    blocks: tuple[Block, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{feature.name}_{band}" for b in self.blocks for band in b.bands for feature in b.features)
