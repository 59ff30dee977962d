"""Gzip that depends on nothing but the data, read back with Python's own."""

import gzip
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerce_dagster.simulation import deflate


@settings(deadline=None)
@given(st.binary(max_size=2000) | st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.integers(1, 700))))
def test_any_bytes_and_any_runs_come_back(data):
    if isinstance(data, list):
        data = b"".join(byte * times for byte, times in data)
    assert gzip.decompress(deflate.gzip(data)) == data


def test_codes_longer_than_fifteen_bits_are_shortened():
    """Frequencies like Fibonacci's numbers make the deepest trees."""
    counts = [1, 1]
    while len(counts) < 24:
        counts.append(counts[-1] + counts[-2])
    data = np.random.default_rng(1).permutation(np.repeat(np.arange(24, dtype=np.uint8), counts)).tobytes()
    assert gzip.decompress(deflate.gzip(data)) == data


def test_noise_is_packed_as_well_as_zlib_packs_it():
    image = np.random.default_rng(1).normal(150, 7, (63, 63)).astype(">f4").tobytes()
    assert len(deflate.gzip(bytes(5000) + image)) < 1.02 * len(gzip.compress(bytes(5000) + image, 1))


@pytest.mark.parametrize("size", [0, 1, 131_072, 300_001])
def test_the_writer_writes_in_portions(size):
    data = np.random.default_rng(size).integers(0, 9, size, np.uint8).tobytes()
    file = io.BytesIO()
    writer = deflate.GzipWriter(file)
    for begin in range(0, size, 50_000):
        writer.write(data[begin : begin + 50_000])
    writer.close()
    assert gzip.decompress(file.getvalue()) == data
