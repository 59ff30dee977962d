"""Asset checks: what must hold of a night's products. A blocking one stops the run; the others warn.

They are evaluated inside the asset's own step, on the night that was made, and cost no step of their own.
"""

import dagster as dg

_CHECKS: dict[str, list[tuple[str, str, bool]]] = {
    "alerts": [
        (
            "counts_reconcile",
            "Packets in = stored + known + set aside; database, archive and ledger agree.",
            True,
        ),
        ("values_in_range", "Positions are on the sky and magnitudes between 5 and 30.", False),
        ("nothing_expired", "The stream kept its messages until they were read.", False),
        ("duplicate_rate", "Under 5 % of the packets that came were stored already.", False),
    ],
    "stamps": [
        ("counts_reconcile", "Every alert has its cutouts or the reason why not.", True),
        ("missing_cutouts", "Under 5 % of the alerts lack a cutout.", False),
    ],
    "detections": [("counts_reconcile", "Every alert's own detection is stored.", True)],
    "objects": [("counts_reconcile", "Every alert's object is stored.", True)],
    "nights": [("counts_reconcile", "Every alert is accounted for, classified, and published.", False)],
    "xmatches": [
        ("counts_reconcile", "Every alert's object was looked up in every catalogue, or waits for a service.", True),
        ("nothing_pending", "No object waits for the answer of a cross-match service.", False),
    ],
    "hosts": [
        ("counts_reconcile", "The host of every alert's object was looked for.", True),
        ("plausible_luminosities", "Under 10 % of the objects with a redshift are too bright or too faint.", False),
    ],
    "identity": [("counts_reconcile", "Every alert's object has its broker object, or moves.", True)],
    "watch_matches": [
        ("counts_reconcile", "Every alert was matched with every list.", True),
        ("messages_delivered", "No message about a match is still to be sent.", False),
    ],
    "streams": [("counts_reconcile", "Every parcel of the night's results has been published.", False)],
    "features": [("counts_reconcile", "Every alert's object has features or too few detections.", True)],
    "classifications": [("counts_reconcile", "Every alert has an answer or the reason why not.", True)],
    "lightcurve_classifications": [
        ("counts_reconcile", "Every alert's object has an answer of its light curve or the reason why not.", True),
        ("inputs_steady", "Shares of missing values and distributions of inputs are those of the weeks before.", False),
        ("classes_steady", "Shares of the classes are those of the weeks before.", False),
        ("calibrated_since", "Probabilities of objects that catalogues have named are calibrated.", False),
    ],
    "combined": [("counts_reconcile", "Every alert's object has one answer or the reason why not.", True)],
    "outliers": [("counts_reconcile", "Every alert's object has a score or the reason why not.", True)],
    "dr/lightcurves": [
        ("counts_reconcile", "Light curves in the files = kept + set aside.", True),
        ("files_readable", "Every file could be read.", False),
    ],
    "dr/recalibrated": [
        ("counts_reconcile", "Every light curve was recalibrated or its channel has the reason why not.", True),
        ("errors_are_right", "Constant stars have a reduced chi-square of 1 ± 0.1.", False),
    ],
    "dr/comparison": [
        ("counts_reconcile", "Of each class no more is seen than is covered, nor covered than is labelled.", True),
        ("alerts_agree", "Constant stars are within 0.1 mag of the alerts' references.", False),
    ],
    "dr/variability": [("counts_reconcile", "Every light curve has an answer or the reason why not.", True)],
    "candidates": [("counts_reconcile", "Every alert's object is a candidate or not, for a reason.", True)],
    "tns_matches": [
        ("counts_reconcile", "Every object of the night was matched, or there is no copy to match it with.", True),
        ("copy_is_fresh", "The copy of TNS's public objects is younger than two days.", False),
    ],
    "tns_reports": [
        ("counts_reconcile", "Every candidate of the night is proposed, known to TNS, or there already.", True),
        ("no_duplicate_report", "No object was accepted by TNS twice, and none was sent twice without asking.", True),
        ("approved_are_answered", "Every report approved over an hour ago has TNS's answer.", False),
    ],
}


def specs(survey: str, asset: str, of: str = "") -> list[dg.AssetCheckSpec]:
    """Specifications of the checks of one of a survey's assets; `of` stands before its name in the list above."""
    key = dg.AssetKey([survey, asset])
    return [
        dg.AssetCheckSpec(name, asset=key, description=description, blocking=blocking)
        for name, description, blocking in _CHECKS[of + asset]
    ]


def result(name: str, passed: bool, **metadata: dg.MetadataValue | str | int | float) -> dg.AssetCheckResult:
    """The outcome of a check, with the numbers it rests on."""
    blocking = any(name == n and b for asset in _CHECKS.values() for n, _, b in asset)
    severity = dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(check_name=name, passed=passed, severity=severity, metadata=metadata)
