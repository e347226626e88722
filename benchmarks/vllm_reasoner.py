"""What the two forms of the reasoner cost on a real vLLM server.

    python benchmarks/vllm_reasoner.py [--repeats N] [--codec smes] [--json]

It starts vLLM from the environment that ``$AFFECTGRAPH_VLLM_PYTHON`` names (``.ci/vllm FOLDER``),
or asks the server at ``$AFFECTGRAPH_VLLM_URL``.

*Joint form.* Time to the first token of the response, labels decoded on the way, over the time of
two plain chat completions that take turns with it: ``given``, whose prompt has the label tokens at
its end, and ``said``, which generates as many tokens as the labels have before the one that counts.
``fresh`` prompts share nothing with what the server has seen; ``talk`` prompts go on with a
conversation whose earlier turns are in its prefix cache.

*Staged form.* Prompt tokens that its four requests together make the server process (not cached, as
the server tells) over the prompt tokens of one request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs by its path, too

from affectgraph.orchestrator.testing.vllm_process import PYTHON, VllmAt, VllmProcess, vllm_python
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import MESC_7
from affectgraph.perceivers.models import ModelStore
from affectgraph.reasoners.backends.usage import Usage
from affectgraph.reasoners.backends.vllm_server import VllmServer
from affectgraph.reasoners.codecs import CODECS
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import JointForm, LabelField, Message, Sampling
from affectgraph.reasoners.plan import Decision, Plan
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.taxonomy import MESC_10

WORDS: Final = Sampling(max_tokens=4)
TONES: Final = Distribution.over(MESC_7, {"neutral": 1, "sadness": 1, "joy": 1})
TALK: Final = (
    ("I moved to a new town for work and I know nobody here.", "That can be a lonely start."),
    ("In the evenings I just sit there and look at my phone.", "The evenings sound long."),
    ("My old friends write less and less.", "It hurts to feel that slip away."),
    ("Maybe it was a mistake to come at all.", "You are wondering if it was worth it."),
)
SAID: Final = "Yesterday a colleague asked me to lunch, and I said no without thinking."


@dataclass
class Timed:
    """Seconds of each kind of request, one a repeat."""

    joint: list[float] = field(default_factory=list)
    given: list[float] = field(default_factory=list)
    said: list[float] = field(default_factory=list)

    def ratio(self, plain: str) -> tuple[float, float, float]:
        """Median of the joint form's time over a plain one's, with a 95 % interval."""
        base: list[float] = getattr(self, plain)
        pairs = [j / p for j, p in zip(self.joint, base, strict=True)]
        choose = random.Random(1)  # noqa: S311 - no secret
        drawn = sorted(statistics.median(choose.choices(pairs, k=len(pairs))) for _ in range(2000))
        return statistics.median(pairs), drawn[50], drawn[-51]


class Bench:
    """Asks one server.

    Args:
        server: The server.
        codec: Name of the codec.
        exchanges: Past exchanges in a prompt.
        joint: How the server holds a joint generation.
    """

    def __init__(
        self,
        server: VllmAt,
        codec: str,
        exchanges: int,
        joint: Literal["grammar", "labels"] = "grammar",
    ) -> None:
        self._told: list[Usage] = []
        self._backend = VllmServer(
            server.base_url, server.name, timeout=300, joint=joint, on_usage=self._told.append
        )
        # Ends after as many tokens as asked for, whatever the model would say.
        self._plainly = VllmServer(
            server.base_url, server.name, timeout=300, extra={"ignore_eos": True}
        )
        self._layout = PromptLayout(codec=codec)
        self._history = TALK[:exchanges]
        self._codec = CODECS[codec]()
        self._fields = tuple(
            LabelField(
                stage=stage,
                labels=MESC_10 if stage == "strategy" else MESC_7,
                prior=TONES if stage == "system_emotion" else None,
            )
            for stage in self._codec.order
            if stage != "response"
        )
        self._number = 0
        self._grammar, self._decoded = joint == "grammar", 0
        self.label_tokens = 0
        self.prompt_tokens = 0

    async def close(self) -> None:
        """Close the connections."""
        await self._backend.close()
        await self._plainly.close()

    async def warm_up(self) -> None:
        """One request of each kind: the first ones compile kernels and grammars."""
        for fresh in (True, False):
            await self.timed(Timed(), fresh=fresh)

    async def timed(self, times: Timed, *, fresh: bool) -> None:
        """One round: every kind of request, in an order that changes."""
        plan = await self._planned()
        lead = self._codec.lead(plan, "response")
        kinds: list[tuple[list[float], Callable[[], Any]]] = [
            (times.joint, lambda: self._joint(fresh=fresh)),
            (times.given, lambda: self._plain(lead, 0, fresh=fresh)),
            (times.said, lambda: self._plain("", self._decoded or self.label_tokens, fresh=fresh)),
        ]
        turn = len(times.joint) % 3
        for kept, ask in kinds[turn:] + kinds[:turn]:
            kept.append(await ask())

    async def staged(self) -> tuple[int, int]:
        """Tokens that the four requests of one fresh turn process, and tokens of its prompt."""
        prompts, context = self._turn(fresh=True)
        base = prompts.base(context)
        self._told.clear()
        for each in self._fields:
            # As the stages do: labels without weight are not offered.
            asked = each.labels.model_copy(update={"labels": each.allowed})
            chosen = await self._backend.choose(prompts.label(context, each.stage), asked)
            decision = each.certain(chosen.top, "bench")
            context = context.model_copy(update={"plan": context.plan.deciding(decision)})
        _ = [piece async for piece in self._backend.stream(prompts.response(context), WORDS)]
        processed = sum(usage.processed_tokens for usage in self._told)
        return processed, await self._length(base)

    async def _joint(self, *, fresh: bool) -> float:
        messages = self._messages(fresh=fresh)
        form, spent = JointForm(self._fields, self._codec), 0.0
        self._told.clear()
        begun = time.perf_counter()
        async with aclosing(self._backend.stream_joint(messages, form, WORDS)) as items:  # type: ignore[type-var]
            async for item in items:
                if not isinstance(item, Decision):
                    spent = time.perf_counter() - begun
                    break
        if not spent:
            raise AssertionError("the joint form says something")
        # Of the labels that were chosen, which need not be as long as those of the plan.
        if self._grammar:
            self._decoded = max(1, self._told[-1].completion_tokens - 1)
        return spent

    async def _plain(self, lead: str, after: int, *, fresh: bool) -> float:
        messages = self._messages(fresh=fresh)
        if lead:
            messages = [*messages, Message(role="assistant", content=lead)]
        sampling = Sampling(max_tokens=after + 8)
        begun, number = time.perf_counter(), 0
        async with aclosing(self._plainly.stream(messages, sampling)) as pieces:  # type: ignore[type-var]
            async for _ in pieces:
                if number == after:
                    return time.perf_counter() - begun
                number += 1
        raise AssertionError(f"the plain completion ended after {number} of {after} pieces")

    async def joint_words(self, sampling: Sampling) -> tuple[float, int]:
        """A whole joint generation: seconds to its first word, and pieces of its response."""
        form = JointForm(self._fields, self._codec)
        messages = self._messages(fresh=True)
        begun, first, pieces = time.perf_counter(), 0.0, 0
        async for item in self._backend.stream_joint(messages, form, sampling):
            if not isinstance(item, Decision):
                first = first or time.perf_counter() - begun
                pieces += 1
        return first, pieces

    async def plain_words(self, sampling: Sampling) -> tuple[float, int]:
        """A whole plain completion, alike."""
        messages = self._messages(fresh=True)
        begun, first, pieces = time.perf_counter(), 0.0, 0
        async for _ in self._plainly.stream(messages, sampling):
            first = first or time.perf_counter() - begun
            pieces += 1
        return first, pieces

    async def _planned(self) -> Plan:
        """Some labels, and how many tokens they have in this form."""
        plan = Plan()
        for each in self._fields:
            plan = plan.deciding(each.certain(each.allowed[0], "bench"))
        if not self.label_tokens:
            base = self._messages(fresh=True)
            lead = Message(role="assistant", content=self._codec.lead(plan, "response"))
            self.prompt_tokens = await self._length(base)
            self.label_tokens = await self._length([*base, lead]) - self.prompt_tokens
        return plan

    async def _length(self, messages: Sequence[Message]) -> int:
        """Tokens of a prompt, as the server counts them."""
        self._told.clear()
        _ = [piece async for piece in self._backend.stream(messages, Sampling(max_tokens=1))]
        return self._told[-1].prompt_tokens

    def _messages(self, *, fresh: bool) -> list[Message]:
        """A prompt that the server has not seen, or whose history it has seen."""
        prompts, context = self._turn(fresh=fresh)
        return prompts.base(context)

    def _turn(self, *, fresh: bool) -> tuple[Prompts, ReasoningContext]:
        self._number += 1
        layout = self._layout
        if fresh:
            note = f"Conversation {self._number} of {os.getpid()}. "
            layout = replace(layout, system=note + layout.system)
        history = tuple(Exchange(said=said, replied=replied) for said, replied in self._history)
        words = f"{SAID} It was the {self._number}th time."
        return Prompts(layout), ReasoningContext(utterance=words, history=history)


async def measured(server: VllmAt, arguments: argparse.Namespace) -> dict[str, Any]:
    """All rounds on a running server."""
    bench = Bench(server, arguments.codec, arguments.exchanges, arguments.joint)
    times = {"fresh": Timed(), "talk": Timed()}
    costs = []
    try:
        await bench.warm_up()
        for number in range(arguments.repeats):
            for kind, kept in times.items():
                await bench.timed(kept, fresh=kind == "fresh")
            costs.append(await bench.staged())
            print(f"round {number + 1} of {arguments.repeats}", file=sys.stderr)
    finally:
        await bench.close()
    metrics: dict[str, float] = {
        "repeats": len(costs),
        "prompt_tokens": bench.prompt_tokens,
        "label_tokens": bench.label_tokens,
        "staged_processed_over_one_prompt": _rounded(
            statistics.median(processed / one for processed, one in costs)
        ),
        "staged_processed_over_one_prompt_max": _rounded(
            max(processed / one for processed, one in costs)
        ),
    }
    baselines: dict[str, float] = {}
    for kind, kept in times.items():
        metrics[f"joint_first_word_s.{kind}"] = _rounded(statistics.median(kept.joint))
        for plain in ("given", "said"):
            middle, low, high = kept.ratio(plain)
            metrics[f"joint_over_{plain}.{kind}"] = _rounded(middle)
            metrics[f"joint_over_{plain}.{kind}.low"] = _rounded(low)
            metrics[f"joint_over_{plain}.{kind}.high"] = _rounded(high)
            baselines[f"plain_{plain}_s.{kind}"] = _rounded(statistics.median(getattr(kept, plain)))
    return {
        "name": "vllm-reasoner",
        "metrics": metrics,
        "baselines": baselines,
        "model": server.name,
        "codec": arguments.codec,
        "exchanges": arguments.exchanges,
        "joint": arguments.joint,
    }


def _rounded(value: float) -> float:
    return round(value, 4)


@contextmanager
def running(folder: Path | None, name: str, flags: Sequence[str]) -> Iterator[VllmAt]:
    """The server that is named, or one that is started for this."""
    named = VllmAt.named()
    if named is not None:
        yield named
        return
    python = vllm_python()
    if python is None:
        sys.exit(f"no vLLM: make one with `.ci/vllm FOLDER` and name its python in {PYTHON}")
    with VllmProcess(python, folder or ModelStore().path(name), name=name, flags=flags) as server:
        yield server


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Arguments that this benchmark has on every machine."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", type=Path, help="folder of a model; by default SmolLM2-135M's")
    parser.add_argument("--codec", choices=sorted(CODECS), default="smes")
    parser.add_argument("--joint", choices=["grammar", "labels"], default="grammar")
    parser.add_argument("--exchanges", type=int, choices=range(len(TALK) + 1), default=len(TALK))
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="one line")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    arguments = parser_of(__doc__.splitlines()[0] if __doc__ else None).parse_args(argv)
    flags = ("--dtype", "bfloat16", "--enforce-eager", "--block-size", "32")
    name = arguments.model.name if arguments.model else "smollm2-135m"
    with running(arguments.model, name, flags) as server:
        result = asyncio.run(measured(server, arguments))
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
