"""What a text perceiver says of many texts, whatever label set it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.bootstrap import Floats
from affectgraph.orchestrator.evaluation.latency import Latency
from affectgraph.orchestrator.evaluation.readings import Told, as_arrays, as_told
from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.contracts import TextReader
from affectgraph.perceivers.errors import InputError

__all__ = ["Floats", "Told", "latency", "read_texts"]

_SIDE_BY_SIDE: Final = 16
_MESSAGES: Final = 100
_ROUNDS: Final = 10


async def read_texts(bench: Bench, name: str, texts: Sequence[str]) -> Told:
    """Have the bench's text perceiver read texts; kept chunk by chunk.

    A text that is no turn (empty, too long) counts as abstained.

    Args:
        bench: The bench.
        name: What the texts are, such as ``goemotions-test``.
        texts: The texts.

    Raises:
        SetupError: If the spec has no text perceiver.
        BuildError: If its readings are over label sets that differ, or over one that is unknown.
    """
    reader = bench.subjects.text
    await reader.warm_up()  # type: ignore[attr-defined]
    key = await bench.aside(lambda: bench.subjects.version("text"))

    async def predict(chunk: Sequence[str]) -> dict[str, NDArray[Any]]:
        readings = list[Reading | None]()
        for start in range(0, len(chunk), _SIDE_BY_SIDE):
            several = chunk[start : start + _SIDE_BY_SIDE]
            readings += await asyncio.gather(*(_reading(reader, text) for text in several))
        return as_arrays(readings)

    arrays = await bench.kept(name, *key).over(texts, predict)
    return as_told(arrays)


async def _reading(reader: TextReader, text: str) -> Reading | None:
    try:
        return await reader.read(text, datetime.now(UTC))
    except InputError:
        return None


async def latency(bench: Bench, texts: Sequence[str]) -> dict[str, float]:
    """Milliseconds that one message takes, read one at a time.

    Each of 100 messages is read ten times, the others in between, so that nothing of it is still
    kept, and its least time counts, since the processor may be shared. The median over the
    messages says what a usual one takes, the least what the shortest does. All of a reading is
    timed: the emotions, the axes, and the search for the sentence that speaks most for them.

    Returns:
        The facts of :class:`~affectgraph.orchestrator.evaluation.latency.Latency`.
    """
    reader, sample = bench.subjects.text, list(dict.fromkeys(texts))[:_MESSAGES]
    taken = Latency("a_message", len(sample))
    for _ in range(_ROUNDS):
        for slot, text in enumerate(sample):
            with taken.of(slot):
                await _reading(reader, text)
    return taken.facts
