"""How far perceivers run side by side: wall time of perception over its slowest node.

    python benchmarks/perception.py [--turns N] [--json]
    python benchmarks/perception.py --real examples/portrait.jpg examples/voice.flac [--json]

Both are read from the spans of the nodes. The first uses fakes that wait, so that it shows the
graph's own cost on any machine; the second takes turns of the default agent with its real models.
A ratio of 1 is perfect; the sequential baseline is the sum of the nodes over the slowest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from affectgraph.orchestrator import Agent, Consent, Parts, Settings, Turn, default_parts
from affectgraph.orchestrator.testing.fakes import FakePerceiver, FakeTextPerceiver
from affectgraph.perceivers.media import AudioFile, ImageFile
from affectgraph.reasoners.context import ReasoningContext

SENSES = ("node text", "node face", "node speech")
CONSENT = Consent(camera=True, microphone=True)


class OneLine:
    """A reasoner that costs nothing, so that perception is all there is."""

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to close."""

    async def reason(self, context: ReasoningContext) -> AsyncIterator[str]:
        """One sentence."""
        del context
        yield "I hear you."


def simulated(media: tuple[Path, Path]) -> tuple[Agent, Turn]:
    """An agent whose perceivers wait 50, 100 and 200 ms."""
    perceivers = (
        FakeTextPerceiver("joy", seconds=0.05),
        FakePerceiver("face", "joy", seconds=0.1),
        FakePerceiver("speech", "joy", seconds=0.2),
    )
    return Agent(Parts(perceivers=perceivers, reasoner=OneLine())), turn(*media)


def real(media: tuple[Path, Path], memory: Path) -> tuple[Agent, Turn]:
    """The default agent without its reasoner."""
    parts = default_parts(Settings(memory=memory))
    return Agent(Parts(perceivers=parts.perceivers, reasoner=OneLine())), turn(*media)


def turn(image: Path, audio: Path) -> Turn:
    """A turn with all three modalities, all of them consented to."""
    return Turn(
        text="I got the place!",
        images=(ImageFile(image),),
        audio=AudioFile(audio),
        consent=CONSENT,
    )


async def measure(agent: Agent, one: Turn, turns: int, spans: InMemorySpanExporter) -> list[float]:
    """Ratio of wall time to the slowest node, for each turn after a first one that warms up."""
    await agent.warm_up()
    await agent.respond(one)
    ratios = []
    for _ in range(turns):
        spans.clear()
        await agent.respond(one)
        nodes = [span for span in spans.get_finished_spans() if span.name in SENSES]
        wall = max(map(_end, nodes)) - min(map(_start, nodes))
        ratios.append(wall / max(_end(node) - _start(node) for node in nodes))
    return ratios


def sequential(spans: InMemorySpanExporter) -> float:
    """What one after the other would have cost, over the slowest, in the last turn."""
    lengths = [_end(s) - _start(s) for s in spans.get_finished_spans() if s.name in SENSES]
    return sum(lengths) / max(lengths)


def _start(span: ReadableSpan) -> int:
    return span.start_time or 0


def _end(span: ReadableSpan) -> int:
    return span.end_time or 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--real", nargs=2, type=Path, metavar=("IMAGE", "AUDIO"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    examples = Path(__file__).parent.parent / "examples"
    media = (examples / "portrait.jpg", examples / "voice.flac")
    with tempfile.TemporaryDirectory() as memory:
        if arguments.real:
            agent, one = real(tuple(arguments.real), Path(memory))
        else:
            agent, one = simulated(media)
        ratios = asyncio.run(measure(agent, one, arguments.turns, spans))
    result = {
        "name": "perception-real" if arguments.real else "perception-simulated",
        "metrics": {
            "wall_over_slowest_median": round(statistics.median(ratios), 4),
            "wall_over_slowest_max": round(max(ratios), 4),
            "turns": len(ratios),
        },
        "baselines": {"sequential_over_slowest": round(sequential(spans), 4), "perfect": 1.0},
    }
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
