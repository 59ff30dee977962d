"""Where the time of a stream goes."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Spent:
    """Seconds that stages took, by name: on the clock, and of processor time in the thread that called them."""

    clock: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Count the block."""
        clock, cpu = time.perf_counter(), time.thread_time()
        yield
        self.clock[name] += time.perf_counter() - clock
        self.cpu[name] += time.thread_time() - cpu
