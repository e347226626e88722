"""How long one input takes: by the clock, and by the processor's own count."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Latency:
    """The best time of each input over several rounds.

    On a shared machine the clock also counts what else runs. So an input's least time counts,
    and the processor time of this process stands beside it: with one thread it is what the clock
    would show on an idle machine.

    Args:
        what: What one input is, for the facts' names.
        inputs: How many there are.
    """

    def __init__(self, what: str, inputs: int) -> None:
        self._what = what
        self._clock = [float("inf")] * inputs
        self._processor = [float("inf")] * inputs

    @contextmanager
    def of(self, slot: int) -> Iterator[None]:
        """Time one run of an input."""
        clock, processor = time.perf_counter(), time.process_time()
        yield
        self._processor[slot] = min(self._processor[slot], time.process_time() - processor)
        self._clock[slot] = min(self._clock[slot], time.perf_counter() - clock)

    @property
    def facts(self) -> dict[str, float]:
        """Milliseconds over the inputs: least and median by the clock, median of the processor."""
        return {
            f"milliseconds_{self._what}_least": 1000 * min(self._clock),
            f"milliseconds_{self._what}_median": 1000 * statistics.median(self._clock),
            f"processor_milliseconds_{self._what}_median": 1000
            * statistics.median(self._processor),
        }


def timed(
    what: str, call: Callable[[T], object], inputs: Sequence[T], rounds: int
) -> dict[str, float]:
    """Facts of a blocking call over inputs, each in every round, one or more of both."""
    latency = Latency(what, len(inputs))
    for _ in range(rounds):
        for slot, each in enumerate(inputs):
            with latency.of(slot):
                call(each)
    return latency.facts
