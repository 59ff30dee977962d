"""Real alert packets through the survey's reader: what inference sees is what training saw."""

from pathlib import Path

import numpy as np
import pytest

from alerce_dagster.classifiers.features import feature_matrix
from alerce_dagster.classifiers.labelled_stamps import load_labelled
from alerce_dagster.classifiers.preparation import prepare
from alerce_dagster.classifiers.stamps import EPHEMERIS_RADIUS, StampClassifier, classify
from alerce_dagster.surveys import get_survey
from alerce_dagster.surveys.packets import read_container

pytestmark = pytest.mark.realdata


def test_packets_and_labelled_rows_of_the_same_alert_are_one_input(real_data: Path) -> None:
    labelled = load_labelled(real_data / "stamps")
    row_of = {candid: i for i, candid in enumerate(labelled.alerts.column("candid").to_pylist())}
    files = sorted((real_data / "ztf_alerts" / "avro").glob("*.avro"))
    packets = [packet for file in files for packet in read_container(file.read_bytes())]
    survey = get_survey("ztf")
    alerts, rows, _ = survey.alerts(packets)
    cutouts = survey.cutouts(packets)
    images, present = cutouts.images[rows], cutouts.present[rows]
    pairs = [(i, row_of[c]) for i, c in enumerate(alerts.column("candid").to_pylist()) if c in row_of]
    assert len(pairs) > 300
    here, there = np.array(pairs).T
    np.testing.assert_array_equal(feature_matrix(alerts)[here], feature_matrix(labelled.alerts)[there])
    np.testing.assert_array_equal(prepare(images[here]), prepare(labelled.images[there]))

    answers = classify(StampClassifier.load(), images, present, alerts)
    assert answers.num_rows == len(packets)
    assert answers.column("candid").to_pylist() == alerts.column("candid").to_pylist()
    distances = alerts.column("ss_distance").to_pylist()
    for distance, answer in zip(distances, answers.to_pylist(), strict=True):
        near = distance is not None and distance <= EPHEMERIS_RADIUS
        assert answer["reason"].startswith("ephemeris") == near
        if near:
            assert answer["class_name"] == "asteroid"


def test_labelled_asteroids_are_those_within_the_ephemeris_radius(real_data: Path) -> None:
    """The data behind EPHEMERIS_RADIUS: nothing lies between 1 and 8 arcsec, so the radius is not a fine choice."""
    labelled = load_labelled(real_data / "stamps")
    distance = labelled.alerts.column("ss_distance").to_numpy(zero_copy_only=False).astype(float)
    asteroid = labelled.labels == StampClassifier.load().classes.index("asteroid")
    assert (distance[asteroid] <= 1).all()
    assert not (distance[~asteroid] < 8).any()
