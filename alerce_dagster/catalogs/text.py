"""Text tables as a stream: CSV with its variants, tables separated by blanks, ECSV headers.

Everything comes out as text. What a column really holds is decided over the whole file (`Kinds`), not by its first
thousand lines: an identifier of twenty digits or with leading zeros stays text.
"""

import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from alerce_dagster.errors import InputError

_BLOCK = 1 << 24
_LINES = 200_000


def read_text(
    file: Path, names: tuple[str, ...] | None, at: Callable[[int], None], *, blanks: bool
) -> Iterator[tuple[pa.Table, dict[str, str]]]:
    """Portions of a text table, all columns as text, with the units of an ECSV header.

    `blanks`: columns are separated by blanks, else by comma, tab, semicolon or bar, whichever the header has.
    """
    header, comments, skipped = _header(file, blanks)
    if blanks:
        yield from _separated_by_blanks(file, names, at)
        return
    delimiter = max(",\t;|", key=header.count)
    found = tuple(name.strip().strip('"').strip() for name in header.lstrip("#").split(delimiter))
    columns = list(names or found)
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise InputError(f"{file} has two columns named {twice!r}; name them anew with --names")
    options = {
        "read_options": pa_csv.ReadOptions(
            block_size=_BLOCK, column_names=columns, skip_rows=skipped + (0 if names else 1)
        ),
        "parse_options": pa_csv.ParseOptions(delimiter=delimiter),
        "convert_options": pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
        ),
    }
    with file.open("rb") as raw:
        stream = pa.CompressedInputStream(raw, "gzip") if file.suffix == ".gz" else pa.PythonFile(raw)
        try:
            reader = pa_csv.open_csv(stream, **options)
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                raise InputError(f"{file} has a header and no rows") from error
            raise
        with reader:
            for batch in reader:
                yield pa.table([_cleaned(column) for column in batch.columns], names=columns), _units(comments)
                at(raw.tell())


def _header(file: Path, blanks: bool) -> tuple[str, list[str], int]:
    """The header line, the comment lines above it, and how many lines to skip to it."""
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt", encoding="utf-8-sig", errors="replace") as stream:
        comments: list[str] = []
        for line in stream:
            text = line.rstrip("\r\n")
            if text.startswith("#") or not text.strip():
                comments.append(text)
                continue
            if not blanks and _n_fields(text) == 1 and not comments:
                following = next(stream, "").rstrip("\r\n")
                if _n_fields(following) > 1:  # a title above the header, as TNS has it
                    return following, [text], 1
            # "# ra, dec" straight above the numbers is a header all the same.
            last = comments[-1] if comments else ""
            is_header = last.startswith("#") and not comments[0].startswith("# %ECSV")
            if is_header and _n_fields(last) == _n_fields(text) and _is_number(text.split(",")[0]):
                return last, comments[:-1], len(comments) - 1
            return text, comments, len(comments)
    raise InputError(f"{file} holds no table")


def _n_fields(line: str) -> int:
    return max(line.count(d) for d in ",\t;|") + 1


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cleaned(column: pa.Array) -> pa.Array:
    """Without blanks and quotes around; empty is null."""
    text = pc.utf8_trim(pc.utf8_trim_whitespace(column), '"')
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.is_in(text, pa.array(["", "null", "NULL", "NaN", "nan", "--"])), None, text)


def _units(comments: list[str]) -> dict[str, str]:
    if not comments or not comments[0].startswith("# %ECSV"):
        return {}
    from astropy.table.meta import get_header_from_yaml

    header = get_header_from_yaml([line.removeprefix("#").removeprefix(" ") for line in comments])
    return {column["name"]: str(column["unit"]) for column in header["datatype"] if column.get("unit")}


def _separated_by_blanks(file: Path, names, at) -> Iterator[tuple[pa.Table, dict[str, str]]]:
    import pandas as pd

    with file.open("rb") as raw:
        stream: io.IOBase = gzip.GzipFile(fileobj=raw) if file.suffix == ".gz" else raw
        # The keyword differs only in whether the first line is the header.
        chunks = pd.read_csv(
            stream, sep=r"\s+", comment="#", dtype=str, chunksize=_LINES, names=list(names) if names else None
        )
        for chunk in chunks:
            yield pa.table([_cleaned(pa.array(chunk[n], pa.string())) for n in chunk], names=list(map(str, chunk))), {}
            at(raw.tell())


class Kinds:
    """What the columns of a text table hold, learnt portion by portion: integers, numbers or text."""

    def __init__(self) -> None:
        self._kinds: dict[str, pa.DataType] = {}

    def learn(self, table: pa.Table) -> None:
        """Widen the kinds by a portion of text columns; others keep their type."""
        for name in table.column_names:
            column = table[name]
            if not pa.types.is_string(column.type):
                self._kinds[name] = column.type
                continue
            known = self._kinds.get(name, pa.int64())
            if known != pa.string() and column.null_count < len(column):
                self._kinds[name] = _wider(known, column)
            else:
                self._kinds.setdefault(name, known)

    def apply(self, table: pa.Table) -> pa.Table:
        """The table with each column as its kind."""
        return pa.table([pc.cast(table[n], self._kinds[n]) for n in table.column_names], names=table.column_names)


def _wider(known: pa.DataType, column: pa.ChunkedArray) -> pa.DataType:
    def every(pattern: str) -> bool:
        return bool(pc.all(pc.match_substring_regex(column, pattern)).as_py())

    if known == pa.int64() and every(r"^[+-]?(0|[1-9]\d{0,18})$"):
        try:
            pc.cast(column, pa.int64())
        except pa.ArrowInvalid:
            return pa.string()  # beyond 64 bits
        return known
    if not every(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$") or not every(r"^[+-]?(0?\.|0$|0[eE]|[1-9.])"):
        return pa.string()
    # Whole numbers that a double cannot hold are names, not numbers.
    if pc.any(pc.match_substring_regex(column, r"^[+-]?\d{16,}$")).as_py():
        return pa.string()
    return pa.float64()
