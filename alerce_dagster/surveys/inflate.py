"""Decompression of bytes from outside: what comes out is bounded, and damage is a ValueError."""

from isal import isal_zlib

INFLATE_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # declared as an instance


def inflate(data: bytes, wbits: int, limit: int) -> bytes:
    """Decompress a whole deflate stream (`wbits` −15: raw, 31: gzip), to `limit` bytes at most.

    Raises ValueError with one clause when the stream is damaged, ends early, or holds more than `limit`
    bytes.
    """
    engine = isal_zlib.decompressobj(wbits)
    try:
        out = engine.decompress(data, limit + 1)
    except INFLATE_ERROR as error:
        raise ValueError(str(error)) from error
    if len(out) > limit:
        raise ValueError(f"it holds more than {limit} bytes")
    if not engine.eof:
        raise ValueError("it ends early")
    return out
