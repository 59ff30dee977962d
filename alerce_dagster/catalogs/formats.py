"""Reads catalogue files as a stream of Arrow batches: CSV and text, FITS, VOTable, Parquet.

A source can be gone through several times, and never more than one portion of it is in memory; only a VOTable is read
whole, because its parser does. Column names stay as they are; units come along where the file states them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from alerce_dagster.catalogs.text import read_text
from alerce_dagster.errors import InputError

FORMATS = ("csv", "text", "fits", "votable", "parquet")
_SUFFIXES = {
    "csv": (".csv", ".tsv", ".ecsv", ".csv.gz", ".tsv.gz", ".ecsv.gz"),
    "text": (".dat", ".txt", ".dat.gz", ".txt.gz"),
    "fits": (".fits", ".fit", ".fits.gz", ".fit.gz"),
    "votable": (".vot", ".votable", ".xml", ".vot.gz", ".votable.gz", ".xml.gz"),
    "parquet": (".parquet", ".parq"),
}
ROWS = 1 << 17

Advance = Callable[[int], None]
"""Called with the number of bytes of the file (as it is on disk) that have been gone through since the last call."""


@dataclass(frozen=True)
class Source:
    """Files of one format with the same columns; `names` replaces a header that is not there."""

    files: tuple[Path, ...]
    format: str
    names: tuple[str, ...] | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.files)

    def batches(self, advance: Advance = lambda n: None) -> Iterator[tuple[pa.Table, dict[str, str]]]:
        """Portions of at most some hundred thousand rows, each with the units its file states by column.

        Raises
        ------
        InputError
            When a file cannot be read to its end.
        """
        for file in self.files:
            reported = 0

            def at(done: int) -> None:
                nonlocal reported
                advance(done - reported)
                reported = done

            try:
                yield from _READERS[self.format](file, self.names, at)
            except FileNotFoundError as error:
                raise InputError(f"cannot read {file}: no such file") from error
            except (pa.ArrowInvalid, EOFError, OSError, ValueError, TypeError, IndexError) as error:
                if isinstance(error, InputError):
                    raise
                said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                raise InputError(
                    f"cannot read {file} as {self.format}: {said}; is it complete, and the format right (--format)?"
                ) from error
            at(file.stat().st_size)


def open_source(places: Sequence[Path], format: str | None = None, names: Sequence[str] | None = None) -> Source:
    """The files at the places (folders are looked through), in their order, and their format.

    Raises
    ------
    InputError
        When there is none, they differ in format, or the format cannot be told from the names.
    """
    if format is not None and format not in FORMATS:
        raise InputError(f"unknown format {format!r}; known: {', '.join(FORMATS)}")
    files: list[Path] = []
    for place in places:
        if not place.exists():
            raise InputError(f"cannot read {place}: no such file")
        files += sorted(f for f in place.rglob("*") if f.is_file() and _format_of(f)) if place.is_dir() else [place]
    if not files:
        raise InputError(f"no catalogue files in {', '.join(map(str, places))}")
    found = {format or _format_of(file) for file in files}
    if None in found:
        unknown = next(file for file in files if _format_of(file) is None)
        raise InputError(f"cannot tell the format of {unknown}; say --format {'|'.join(FORMATS)}")
    if len(found) > 1:
        raise InputError(f"files of several formats ({', '.join(sorted(map(str, found)))}): give those of one")
    empty = next((file for file in files if not file.stat().st_size), None)
    if empty is not None:
        raise InputError(f"{empty} is empty")
    return Source(tuple(files), str(found.pop()), tuple(names) if names else None)


def _format_of(file: Path) -> str | None:
    name = file.name.lower()
    return next((format for format, suffixes in _SUFFIXES.items() if name.endswith(suffixes)), None)


def _parquet(file: Path, _names, at: Advance) -> Iterator[tuple[pa.Table, dict[str, str]]]:
    with pq.ParquetFile(file, memory_map=True) as parquet:
        schema = parquet.schema_arrow
        units = {f.name: f.metadata[b"unit"].decode() for f in schema if f.metadata and b"unit" in f.metadata}
        total, done = max(parquet.metadata.num_rows, 1), 0
        for batch in parquet.iter_batches(ROWS):
            yield pa.Table.from_batches([batch]), units
            done += batch.num_rows
            at(file.stat().st_size * done // total)


def _csv(file: Path, names, at: Advance) -> Iterator[tuple[pa.Table, dict[str, str]]]:
    return read_text(file, names, at, blanks=False)


def _text(file: Path, names, at: Advance) -> Iterator[tuple[pa.Table, dict[str, str]]]:
    return read_text(file, names, at, blanks=True)


def _fits(file: Path, _names, at: Advance) -> Iterator[tuple[pa.Table, dict[str, str]]]:
    from astropy.io import fits

    with fits.open(file, memmap=True) as hdus:
        table = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)), None)
        if table is None:
            raise InputError(f"{file} holds no binary table")
        place = table.fileinfo()
        if file.suffix != ".gz" and place["datLoc"] + table.header["NAXIS1"] * table.header["NAXIS2"] > (
            file.stat().st_size
        ):
            raise InputError(f"{file} is truncated: its header promises {table.header['NAXIS2']:,} rows")
        units = {column.name: column.unit for column in table.columns if column.unit}
        n = table.header["NAXIS2"]
        for start in range(0, n, ROWS):
            part = table.data[start : start + ROWS]
            yield pa.table({c.name: _fits_column(part[c.name], c) for c in table.columns if _is_plain(c)}), units
            at(file.stat().st_size * min(start + ROWS, n) // n)


def _is_plain(column) -> bool:
    """A column of one value a row (or text)."""
    return not column.dim and (column.format.endswith("A") or column.format.strip("1") in set("LBIJKED"))


def _fits_column(values: np.ndarray, column) -> pa.Array:
    if values.dtype.kind in "SU":
        return pa.array(
            [text.strip() or None for text in np.char.decode(values, "utf-8", "replace").tolist()]
            if values.dtype.kind == "S"
            else [text.strip() or None for text in values.tolist()],
            pa.string(),
        )
    native = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("=")))
    mask = native == column.null if column.null is not None and native.dtype.kind in "iu" else None
    return pa.array(native, mask=mask)


def _votable(file: Path, _names, at: Advance) -> Iterator[tuple[pa.Table, dict[str, str]]]:
    import warnings
    from xml.parsers.expat import ExpatError

    from astropy.io.votable import parse_single_table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            table = parse_single_table(str(file))
        except (ExpatError, SyntaxError) as error:
            raise InputError(f"cannot read {file} as votable: {error}; is it complete?") from error
    units = {field.name: str(field.unit) for field in table.fields if field.unit is not None}
    columns = {}
    for field in table.fields:
        values = table.array[field.ID]
        if values.ndim > 1:
            continue
        mask = np.ma.getmaskarray(values)
        if values.dtype.kind == "O":
            texts = [None if m or v is None else str(v) for v, m in zip(values.data.tolist(), mask, strict=True)]
            columns[field.name] = pa.array(texts, pa.string())
        else:
            columns[field.name] = pa.array(np.ma.getdata(values), mask=mask)
    whole = pa.table(columns)
    for start in range(0, whole.num_rows, ROWS):
        yield whole.slice(start, ROWS), units


_READERS = {"parquet": _parquet, "csv": _csv, "text": _text, "fits": _fits, "votable": _votable}
