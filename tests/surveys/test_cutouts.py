"""Cutouts: against astropy, and against bytes that are no images."""

import gzip
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerce_dagster.surveys.cutouts import SIZE, read_images
from tests.surveys.make_packets import fits, stamp


def noise(shape, seed=1, dtype="f4"):
    return np.random.default_rng(seed).normal(100, 5, shape).astype(dtype)


def test_whole_images_gzipped_and_plain():
    images = [noise((SIZE, SIZE), seed) for seed in range(3)]
    found = read_images([[gzip.compress(fits(images[0])), fits(images[1]), gzip.compress(fits(images[2]))]])
    assert found.images.dtype == np.float32
    assert np.array_equal(found.images[0], images)
    assert found.present.all()
    assert (found.height == SIZE).all()
    assert (found.width == SIZE).all()
    assert found.reasons == []


@pytest.mark.parametrize(
    ("shape", "position", "rows", "columns"),
    [
        ((45, 63), (94.4, 13.9), slice(18, 63), slice(0, 63)),  # near y = 0: the first rows are missing
        ((53, 63), (229.3, 3058.6), slice(0, 53), slice(0, 63)),
        ((63, 42), (3062.3, 331.8), slice(0, 63), slice(0, 42)),
        ((63, 50), (10.0, 331.8), slice(0, 63), slice(13, 63)),
        ((40, 50), (10.0, 10.0), slice(23, 63), slice(13, 63)),
        ((40, 50), (np.nan, np.nan), slice(0, 40), slice(0, 50)),
        ((40, 50), None, slice(0, 40), slice(0, 50)),
    ],
)
def test_clipped_images_are_padded_on_the_side_of_the_edge(shape, position, rows, columns):
    image = noise(shape)
    x, y = (None, None) if position is None else (np.array([position[0]]), np.array([position[1]]))
    found = read_images([[None, None, fits(image)]], x, y)
    assert found.present.tolist() == [[False, False, True]]
    assert (found.height[0, 2], found.width[0, 2]) == shape
    assert np.array_equal(found.images[0, 2][rows, columns], image)
    assert np.isfinite(found.images).sum() == image.size


def test_larger_images_are_cropped_around_the_centre():
    image = noise((71, 65))
    found = read_images([[fits(image), None, None]])
    assert np.array_equal(found.images[0, 0], image[4:67, 1:64])
    assert (found.height[0, 0], found.width[0, 0]) == (71, 65)


def test_pixels_of_other_kinds():
    whole = np.arange(12, dtype="i2").reshape(3, 4)
    scaled = fits(whole, ("BSCALE  =                  0.5 / factor", "BZERO   =             3.2D1"))
    wide = noise((3, 4), dtype="f8")
    wide[0, 0], wide[1, 1] = 1e300, -np.inf
    found = read_images([[fits(whole), scaled, fits(wide)]])
    assert np.array_equal(found.images[0, 0][:3, :4], whole)
    assert np.array_equal(found.images[0, 1][:3, :4], whole * 0.5 + 32)
    assert np.argwhere(np.isnan(found.images[0, 2][:3, :4])).tolist() == [[0, 0], [1, 1]]
    assert not np.isinf(found.images).any()


GOOD = fits(noise((SIZE, SIZE)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"nonsense", "not a FITS file"),
        (gzip.compress(b"nonsense"), "not a FITS file"),
        (gzip.compress(GOOD)[:-9], "ends early"),
        (gzip.compress(GOOD)[:500], "ends early"),
        (b"\x1f\x8bnonsense", "does not decompress"),
        (GOOD[:5000], "not all there"),
        (GOOD[:400], "no end"),
        (GOOD.replace(b"NAXIS   =                    2", b"NAXIS   =                    3"), "3 axes"),
        (GOOD.replace(b"BITPIX ", b"BITPAX "), "does not describe"),
        (GOOD.replace(b"                  -32", b"                  -33"), "-33 bits"),
        (GOOD.replace(b"                   63", b"            999999963"), "999999963"),
        (GOOD.replace(b"                   63", b"                    0"), "0x0"),
        (gzip.compress(bytes(40 << 20)), "holds more than"),
    ],
)
def test_unreadable_images_are_absent_with_a_reason(data, reason):
    found = read_images([[None, None, None], [GOOD, data, GOOD]])
    assert found.present.tolist() == [[False] * 3, [True, False, True]]
    assert np.isnan(found.images[1, 1]).all()
    assert (found.height[1, 1], found.width[1, 1]) == (0, 0)
    ((index, sentence),) = found.reasons
    assert index == 1
    assert sentence.startswith("the template cutout cannot be read: ")
    assert reason in sentence


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_flipped_bytes_never_raise(data):
    broken = bytearray(stamp() if data.draw(st.booleans()) else GOOD)
    for _ in range(data.draw(st.integers(1, 5))):
        broken[data.draw(st.integers(0, min(len(broken) - 1, 500)))] = data.draw(st.integers(0, 255))
    found = read_images([[bytes(broken), None, bytes(broken[: data.draw(st.integers(0, len(broken)))])]])
    assert not np.isinf(found.images).any()


def test_threads_change_nothing():
    stamps = [[stamp(i), None if i % 5 else b"nonsense", stamp(i + 1, (40, 63))] for i in range(150)]
    y = np.linspace(0, 3000, 150)
    one, two = read_images(stamps, y=y), read_images(stamps, y=y, threads=2)
    assert np.array_equal(one.images, two.images, equal_nan=True)
    assert np.array_equal(one.present, two.present)
    assert one.reasons == two.reasons
    assert len(one.reasons) == 30


@pytest.mark.realdata
def test_real_cutouts_as_astropy_reads_them(real_data):
    from astropy.io import fits as astropy_fits

    from alerce_dagster.surveys import get_survey, read_container
    from alerce_dagster.surveys.packets import decode_record

    files = sorted(real_data.glob("ztf_alerts/avro/*.avro"))
    packets = [packet for file in files for packet in read_container(file.read_bytes())]
    found = get_survey("ztf").cutouts(packets, threads=2)
    assert found.present.all()
    assert found.reasons == []
    clipped, centred = [], []
    for i, packet in enumerate(packets):
        record = decode_record(packet)
        is_clipped = (found.height[i].min(), found.width[i].min()) != (SIZE, SIZE)
        if i % 10 and not is_clipped:
            continue
        for j, name in enumerate(("cutoutScience", "cutoutTemplate", "cutoutDifference")):
            with gzip.open(io.BytesIO(record[name]["stampData"])) as file:
                image = astropy_fits.getdata(io.BytesIO(file.read()))
            assert image.shape == (found.height[i, j], found.width[i, j])
            ours = found.images[i, j]
            kept = ours[np.isfinite(ours)]
            assert np.array_equal(kept, image[np.isfinite(image)])
        if is_clipped:  # the source is in the middle once the missing side is put back
            clipped.append(i)
            brightest = np.nanargmax(np.abs(found.images[i, 2]))
            if np.abs(np.array(np.unravel_index(brightest, (SIZE, SIZE))) - SIZE // 2).max() <= 2:
                centred.append(i)
    assert len(clipped) >= 9
    assert len(centred) >= len(clipped) - 3  # in some, a bad pixel at the edge is brighter than the source
