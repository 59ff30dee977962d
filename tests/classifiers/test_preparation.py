"""Preparing cutouts: crop, sky level, noise; hostile pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerce_dagster.classifiers.preparation import CROP, SCALE, SIZE, SOFTENING, centre, prepare, usable


def noise(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(150, 10, shape).astype(np.float32)


def test_centre_of_odd_images_is_the_middle_pixel() -> None:
    image = np.zeros((1, 1, 63, 63), np.float32)
    image[0, 0, 31, 31] = 1
    assert centre(image, 25)[0, 0, 12, 12] == 1
    small = centre(image[..., 21:42, 21:42], 31)
    assert small.shape == (1, 1, 31, 31)
    assert small[0, 0, 15, 15] == 1
    assert np.isnan(small[0, 0, 0, 0])


def test_a_source_is_measured_in_units_of_the_sky_noise() -> None:
    images = noise((1, 3, 63, 63))
    images[0, 2, 31, 31] = 150 + 10 * 50
    images[0, 1, 31, 31] = 150 - 10 * 50
    peak = prepare(images)[0, SIZE // 2, SIZE // 2]
    expected = np.arcsinh(50 / SOFTENING) / SCALE
    assert peak[2] == pytest.approx(expected, rel=0.05)
    assert peak[1] == pytest.approx(-expected, rel=0.05)


def test_level_and_gain_do_not_matter() -> None:
    images = noise((4, 3, 63, 63))
    np.testing.assert_allclose(prepare(images * 3 + 700), prepare(images), atol=1e-3)


def test_turning_before_and_after_preparing_is_the_same() -> None:
    images = noise((2, 3, 63, 63))
    turned = np.rot90(images, axes=(2, 3))
    np.testing.assert_array_equal(prepare(turned), np.rot90(prepare(images), axes=(1, 2)))


def test_pixels_outside_the_crop_are_not_looked_at() -> None:
    images = noise((1, 3, 63, 63))
    other = images.copy()
    other[..., :16, :] = 1e4
    np.testing.assert_array_equal(prepare(other), prepare(images))
    np.testing.assert_array_equal(prepare(centre(images, CROP)), prepare(images))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -3.4028235e38, 0.0, 1e29])
def test_constant_and_unusable_images_become_empty_sky(value: float) -> None:
    images = noise((2, 3, 63, 63))
    images[0, 1] = value
    out = prepare(images)
    assert (out[0, :, :, 1] == 0).all()
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(out[1], prepare(images[1:])[0])
    assert usable(images).tolist() == [[True, bool(abs(value) < 1e30), True], [True] * 3]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(5, 70), st.integers(5, 70), st.integers(0, 1000),
    st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38, 0.0, 1e20]), st.floats(0, 1),
)  # fmt: skip
def test_any_pixels_in_any_shape_give_finite_images(
    height: int, width: int, seed: int, poison: float, share: float
) -> None:
    images = noise((2, 3, height, width), seed)
    images[np.random.default_rng(seed).random(images.shape) < share] = poison
    out = prepare(images)
    assert out.shape == (2, SIZE, SIZE, 3)
    assert out.dtype == np.float32
    assert np.isfinite(out).all()


def test_the_input_is_not_changed() -> None:
    images = noise((1, 3, 31, 31))
    images[0, 0, 3, 3] = np.inf
    before = images.copy()
    prepare(images)
    np.testing.assert_array_equal(images, before)


def test_no_cutouts() -> None:
    assert prepare(np.zeros((0, 3, 63, 63), np.float32)).shape == (0, SIZE, SIZE, 3)
