"""The classes of the simulation, and what each is to a stamp classifier."""

STAMP_CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")

# The fifteen classes of ALeRCE's light-curve classifier (Sanchez-Saez et al. 2021, AJ 161, 141) and four more.
STAMP_CLASS = {
    "SNIa": "SN",
    "SNIbc": "SN",
    "SNII": "SN",
    "SLSN": "SN",
    "QSO": "AGN",
    "AGN": "AGN",
    "Blazar": "AGN",
    "YSO": "VS",
    "CV/Nova": "VS",
    "LPV": "VS",
    "E": "VS",
    "DSCT": "VS",
    "RRL": "VS",
    "CEP": "VS",
    "Periodic-Other": "VS",
    "TDE": "SN",
    "Microlensing": "VS",
    "asteroid": "asteroid",
    "bogus": "bogus",
}
CLASSES = tuple(STAMP_CLASS)
SINGLE = ("asteroid", "bogus")  # seen once at one place

# Shares of the objects that are seen again and again. Nature gives a hundred eclipsing binaries for a tidal
# disruption; this mix is flattened so that a night of a few thousand alerts holds some of every class.
LASTING_MIX = {
    "SNIa": 0.13,
    "SNIbc": 0.04,
    "SNII": 0.08,
    "SLSN": 0.03,
    "TDE": 0.02,
    "QSO": 0.14,
    "AGN": 0.09,
    "Blazar": 0.06,
    "YSO": 0.05,
    "CV/Nova": 0.05,
    "LPV": 0.06,
    "E": 0.08,
    "DSCT": 0.03,
    "RRL": 0.07,
    "CEP": 0.03,
    "Periodic-Other": 0.02,
    "Microlensing": 0.02,
}
SINGLE_MIX = {"asteroid": 0.6, "bogus": 0.4}

BOGUS = ("hot pixel", "cosmic ray", "dipole", "edge", "saturated star", "noise", "trail")
BOGUS_MIX = (0.1, 0.1, 0.42, 0.06, 0.14, 0.12, 0.06)  # most artefacts of ZTF are badly subtracted sources
