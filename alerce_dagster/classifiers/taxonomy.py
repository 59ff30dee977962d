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
