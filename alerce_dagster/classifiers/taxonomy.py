"""The classes this broker speaks of, in the order in which probabilities are stored.

Only names and their meaning belong here: no model, no rule, no number. The order of a tuple is part of the
data format (probabilities are stored as lists), so a class may be appended in a new taxonomy but never
moved.
"""

# The stamp classifier's five classes, in ALeRCE's order.
STAMP_CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")

STAMP_CLASS_MEANING = {
    "AGN": "active galactic nucleus: quasar, blazar, Seyfert, LINER",
    "SN": "supernova of any type, superluminous ones included",
    "VS": "variable star of any type, cataclysmic ones and novae included",
    "asteroid": "Solar System object",
    "bogus": "not an astrophysical change: subtraction residual, detector defect, cosmic ray, ghost",
}


# The light-curve classifier's taxonomies: top class -> its classes. "15" is that of Sánchez-Sáez et al. (2021, AJ 161,
# 141), "21" that of ALeRCE's later forced-photometry classifier. Probabilities are stored in this order.
LIGHT_CURVE_TAXONOMIES: dict[str, dict[str, tuple[str, ...]]] = {
    "15": {
        "Transient": ("SNIa", "SNIbc", "SNII", "SLSN"),
        "Stochastic": ("QSO", "AGN", "Blazar", "YSO", "CV/Nova"),
        "Periodic": ("LPV", "E", "DSCT", "RRL", "CEP", "Periodic-Other"),
    },
    "21": {
        "Transient": ("SNIa", "SESN", "SNII", "SNIIn", "SLSN", "TDE"),
        "Stochastic": ("QSO", "AGN", "Blazar", "YSO", "CV/Nova", "Microlensing"),
        "Periodic": ("LPV", "EA", "EB/EW", "DSCT", "RRLab", "RRLc", "CEP", "RSCVn", "Periodic-Other"),
    },
}


def classes_of(taxonomy: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """All classes of a two-level taxonomy, in the order of the probabilities."""
    return tuple(name for children in taxonomy.values() for name in children)
