"""Rows sorted into buckets on disk, when there are more of them than memory holds."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc

_BUDGET = 256 << 20


class Buckets:
    """Tables split by a bucket number and appended to one file per bucket, through a buffer of bounded size."""

    def __init__(self, folder: Path, budget: int = _BUDGET) -> None:
        folder.mkdir(parents=True)
        self._folder, self._budget = folder, budget
        self._waiting: dict[int, list[pa.Table]] = {}
        self._held = 0
        self.counts: dict[int, int] = {}

    def add(self, table: pa.Table, bucket: np.ndarray) -> None:
        """Put each row of the table into the bucket given for it, shape (n,)."""
        if not table.num_rows:
            return
        order = np.argsort(bucket, kind="stable")
        numbers, starts = np.unique(bucket[order], return_index=True)
        table = table.take(pa.array(order))
        ends = [*starts[1:].tolist(), len(order)]
        for number, start, end in zip(numbers.tolist(), starts.tolist(), ends, strict=True):
            self._waiting.setdefault(number, []).append(table.slice(start, end - start))
            self.counts[number] = self.counts.get(number, 0) + end - start
        self._held += table.nbytes
        if self._held > self._budget:
            self.flush()

    def flush(self) -> None:
        """Write everything that waits: each time one more stream at the end of the bucket's file."""
        for number, tables in self._waiting.items():
            with (self._folder / str(number)).open("ab") as sink:
                whole = pa.concat_tables(tables).combine_chunks()
                with pa.ipc.new_stream(sink, whole.schema) as writer:
                    writer.write_table(whole)
        self._waiting.clear()
        self._held = 0

    def take(self, number: int, schema: pa.Schema) -> pa.Table:
        """All rows of a bucket in the order they came; its file is removed."""
        self.flush()
        file = self._folder / str(number)
        if not file.exists():
            return schema.empty_table()
        tables = []
        with file.open("rb") as source:
            end = file.stat().st_size
            while source.tell() < end:
                with pa.ipc.open_stream(source) as reader:
                    tables.append(reader.read_all())
        file.unlink()
        return pa.concat_tables(tables)
