"""Gzip whose bytes depend on the data alone.

What zlib makes of the same data differs from one version, and from one of its replacements, to the next; the same seed
must give the same packets with any of them. This encoder knows Huffman codes and runs of one byte, nothing else: images
of noise have no other patterns. Blocks are those of RFC 1951, the framing that of RFC 1952.
"""

import struct
import zlib
from typing import IO

import numpy as np
from numba import njit

HEADER = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"  # no name, no time, unknown system
_END = b"\x01\x00\x00\xff\xff"  # a last block that is empty
_BLOCK = 1 << 17  # bytes per Huffman table
_CODES, _END_OF_BLOCK, _LONGEST = 286, 256, 15
_ORDER_OF_LENGTHS = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
_RUN_BASE = np.array([3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
                      163, 195, 227, 258])  # fmt: skip
_RUN_CODE = np.searchsorted(_RUN_BASE, np.arange(259), side="right") - 1
_RUN_EXTRA = np.array([0] * 8 + [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4 + [5] * 4 + [0])


def gzip(data: bytes) -> bytes:
    """A gzip file of the data."""
    return b"".join([HEADER, *_blocks(data), _END, struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)])


class GzipWriter:
    """A file to write to, which writes gzip to another; `close` ends the gzip, not the other file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._crc, self._size, self._waiting = file, 0, 0, bytearray()
        file.write(HEADER)

    def write(self, data: bytes) -> int:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self._waiting += data
        while len(self._waiting) >= _BLOCK:
            self._file.writelines(_blocks(bytes(self._waiting[:_BLOCK])))
            del self._waiting[:_BLOCK]
        return len(data)

    def close(self) -> None:
        self._file.writelines(_blocks(bytes(self._waiting)))
        self._file.write(_END + struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))


def _blocks(data: bytes) -> list[bytes]:
    array = np.frombuffer(data, np.uint8)
    parts = []
    for begin in range(0, array.size, _BLOCK):
        part = array[begin : begin + _BLOCK]
        out = np.zeros(2 * part.size + 1024, np.uint8)
        parts.append(out[: _encode(part, out)].tobytes())
    return parts


@njit(cache=True, nogil=True)
def _runs(data, tokens):
    """Symbols 0-255 for bytes, 1000 + length for the repetition of the byte before; returns their number."""
    n, i, count = data.size, 0, 0
    while i < n:
        run = 0
        if i > 0:
            while i + run < n and run < 258 and data[i + run] == data[i - 1]:
                run += 1
        if run >= 3:
            tokens[count] = 1000 + run
            i += run
        else:
            tokens[count] = data[i]
            i += 1
        count += 1
    return count


@njit(cache=True, nogil=True)
def _code_lengths(frequency):
    """Lengths of a Huffman code of at most 15 bits; equal frequencies keep the order of their symbols."""
    lengths = np.zeros(_CODES, np.int64)
    weight = frequency.copy()
    while True:
        used = np.flatnonzero(weight)
        order = used[np.argsort(weight[used], kind="mergesort")]
        n = order.size
        value = np.zeros(2 * n, np.int64)
        parent = np.zeros(2 * n, np.int64)
        for k in range(n):
            value[k] = weight[order[k]]
        leaf, inner, end = 0, n, n
        for _ in range(n - 1):  # join the two lightest; joined ones come out in order of weight
            for _ in range(2):
                if leaf < n and (inner >= end or value[leaf] <= value[inner]):
                    parent[leaf] = end
                    value[end] += value[leaf]
                    leaf += 1
                else:
                    parent[inner] = end
                    value[end] += value[inner]
                    inner += 1
            end += 1
        depth = np.zeros(2 * n, np.int64)
        for k in range(end - 2, -1, -1):
            depth[k] = depth[parent[k]] + 1
        if depth[:n].max() <= _LONGEST:
            for k in range(n):
                lengths[order[k]] = max(depth[k], 1)
            return lengths
        weight = np.where(weight > 0, weight // 2 + 1, 0)


@njit(cache=True, nogil=True)
def _put(out, bit, value, size):
    """Write up to 16 bits, the lowest first, where `out` is still zero."""
    at, shifted = bit >> 3, value << (bit & 7)
    out[at] |= shifted & 255
    out[at + 1] |= shifted >> 8 & 255
    out[at + 2] |= shifted >> 16 & 255
    return bit + size


@njit(cache=True, nogil=True)
def _encode(data, out):
    """One block, then an empty stored block up to a whole byte; returns the bytes written into `out` (zeros)."""
    tokens = np.empty(data.size, np.int64)
    n_tokens = _runs(data, tokens)
    frequency = np.zeros(_CODES, np.int64)
    frequency[_END_OF_BLOCK] = 1
    for k in range(n_tokens):
        token = tokens[k]
        frequency[token if token < 1000 else 257 + _RUN_CODE[token - 1000]] += 1
    lengths = _code_lengths(frequency)
    codes = np.zeros(_CODES, np.int64)
    code = 0
    for length in range(1, _LONGEST + 1):
        code <<= 1
        for symbol in range(_CODES):
            if lengths[symbol] == length:
                reverse = 0
                for k in range(length):
                    reverse |= (code >> k & 1) << (length - 1 - k)
                codes[symbol] = reverse
                code += 1
    bit = _put(out, 0, 0b100, 3)  # not the last block, a Huffman code of its own
    bit = _put(out, bit, _CODES - 257, 5)
    bit = _put(out, bit, 0, 5)  # one distance: the byte before
    bit = _put(out, bit, 15, 4)
    for symbol in _ORDER_OF_LENGTHS:  # lengths 0-15 are written in four bits each
        bit = _put(out, bit, 4 if symbol < 16 else 0, 3)
    for k in range(_CODES + 1):
        length = lengths[k] if k < _CODES else 1
        reverse = (length & 1) << 3 | (length & 2) << 1 | (length & 4) >> 1 | (length & 8) >> 3
        bit = _put(out, bit, reverse, 4)
    for k in range(n_tokens):
        token = tokens[k]
        if token < 1000:
            bit = _put(out, bit, codes[token], lengths[token])
        else:
            run = token - 1000
            short = _RUN_CODE[run]
            bit = _put(out, bit, codes[257 + short], lengths[257 + short])
            bit = _put(out, bit, run - _RUN_BASE[short], _RUN_EXTRA[short])
            bit = _put(out, bit, 0, 1)
    bit = _put(out, bit, codes[_END_OF_BLOCK], lengths[_END_OF_BLOCK])
    bit = _put(out, bit, 0, 3)
    at = (bit + 7) >> 3
    out[at + 2] = out[at + 3] = 255
    return at + 4
