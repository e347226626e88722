"""What compressing a history saves and costs, on dialogues of ESConv or MESC (validation split).

    python benchmarks/history.py [--corpus esconv|mesc] [--dialogues N] [--budget N] [--risky N]

Each dialogue is played turn by turn with the prompts of the trained small model; no language model
runs. Of every way to tell a history it prints

- ``ratio``: tokens told over tokens said, at the end of a dialogue (mean);
- ``survival``: share of the turns, from the second on, whose prompt begins with the whole last
  prompt and what was said after it;
- ``new_share``: share of a prompt's characters that a prefix cache has not seen in the last one;
- ``risk_kept``: share of the prompts after a turn at risk that tell its whole message word by word;
  so many turns of each dialogue's first half, drawn by a seed, count as such (``--risky``), as
  neither corpus labels any;
- ``over_budget``: share of the choices after which more than the budget is told, as what is at
  risk may not be cut;
- ``words_kept``: share of the distinct words of five letters and more that the person had said so
  far and that still stand in the prompt;
- ``step_ms``: processor time that choosing takes after a turn (mean).

Tokens are counted with the vocabulary of ``smollm2-135m`` if it is pulled, else estimated;
``bytes_per_token`` shows what the estimate rests on. The baseline, ``sliding``, tells as many of
the last exchanges as the budget holds, chosen anew each turn, as a list that is cut does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

from affectgraph.orchestrator.testing.conversation import PlayedTurn, TurnPrompt, chatml, played
from affectgraph.perceivers.models import ModelStore
from affectgraph.reasoners.context import Exchange, latest_recap
from affectgraph.reasoners.history import (
    CompressedHistory,
    FullHistory,
    HistoryCompressor,
    HistoryTools,
    Notes,
    SummaryHistory,
    WindowHistory,
)
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.telling import sound
from affectgraph.reasoners.training import esconv_dialogues, mesc_dialogues

MODEL: Final = "smollm2-135m"
_RISK: Final = 3
_WORD: Final = re.compile(r"[^\W\d_]{5,}")


class Sliding:
    """As many of the last exchanges as the budget holds, whatever was told before."""

    def __init__(self, budget: int) -> None:
        self._budget = budget

    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        """Choose anew."""
        at = latest_recap(history)
        recap = history[at].recap if at is not None else None
        sizes = await tools.count([tools.printed(exchange, 0) for exchange in history])
        first, after = len(history), 0
        while first and after + sizes[first - 1] <= self._budget:
            first -= 1
            after += sizes[first]
        return CompressedHistory(
            kept=tuple(history[first:]),
            tokens_before=(recap.tokens if recap else 0) + sizes[-1],
            tokens_after=after,
        )


@dataclass
class Counter:
    """Counts tokens as a backend does."""

    tokenizer: Tokenizer | None
    bytes: int = 0
    tokens: int = 0
    name: str = field(default="counter")

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        assert self.tokenizer is not None
        counts = [len(each.ids) for each in self.tokenizer.encode_batch(list(texts))]
        self.bytes += sum(len(text.encode()) for text in texts)
        self.tokens += sum(counts)
        return counts


class Timed:
    """A compressor and the processor time that it took."""

    def __init__(self, compressor: HistoryCompressor) -> None:
        self._compressor = compressor
        self.ratios: list[float] = []
        self.spent: list[float] = []
        self.over: list[float] = []

    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        """As the compressor does."""
        started = time.process_time()
        found = await self._compressor.compress(history, tools)
        self.spent.append(1000 * (time.process_time() - started))
        self.ratios.append(found.ratio)
        self.over.append(float(found.over > 0))
        return found


async def dialogues_of(corpus: str, data: Path, limit: int) -> list[list[PlayedTurn]]:
    """Dialogues as merged turns; of ESConv the emotions are left neutral, as nothing reads them."""
    if corpus == "esconv":
        found = await esconv_dialogues.load(data, "valid", _unread, limit=limit)
    else:
        found = mesc_dialogues.load(data, "val")[:limit]
    return [
        [PlayedTurn(each.said, each.replied, each.plan) for each in dialogue.exchanges]
        for dialogue in found
        if len(dialogue.exchanges) > 1
    ]


async def _unread(texts: Sequence[str]) -> list[None]:
    return [None] * len(texts)


def figures(
    prompts: Prompts, found: Sequence[TurnPrompt], risky: set[int]
) -> dict[str, list[float]]:
    """What one played dialogue shows."""
    told: dict[str, list[float]] = {
        "survival": [],
        "new_share": [],
        "risk_kept": [],
        "words_kept": [],
    }
    said: set[str] = set()
    before = ""
    for number, turn in enumerate(found):
        text = chatml(turn.messages)
        said |= set(_WORD.findall(turn.exchange.said.casefold()))
        if number:
            pairs = zip(before, text, strict=False)
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            told["survival"].append(float(text.startswith(before)))
            told["new_share"].append(1 - shared / len(text))
            words = set(_WORD.findall(text.casefold()))
            told["words_kept"].append(len(said & words) / len(said) if said else 1.0)
        told["risk_kept"] += [
            float(sound(found[n].exchange.said) in text) for n in risky if n < number
        ]
        reply = prompts.codec.write(turn.exchange.plan, " ".join(turn.exchange.replied.split()))
        before = f"{text}{reply}<|im_end|>\n"
    return told


async def measure(
    dialogues: Sequence[Sequence[PlayedTurn]], budget: int, at_risk: int = 1
) -> dict[str, object]:
    """All figures."""
    store = ModelStore()
    tokenizer = None
    if store.has(MODEL):
        tokenizer = Tokenizer.from_file(str(store.folder(MODEL) / "tokenizer.json"))
    counter = Counter(tokenizer)
    ways: dict[str, HistoryCompressor] = {
        "full": FullHistory(budget),
        "window": WindowHistory(8, budget=budget),
        "summary": SummaryHistory(budget, summary=budget // 5),
        "sliding": Sliding(budget),
    }
    prompts = Prompts(PromptLayout.trained())
    drawn = random.Random(0)  # noqa: S311 - which turn counts as at risk
    marked = []
    for dialogue in dialogues:
        half = max(1, len(dialogue) // 2)
        risky = set(drawn.sample(range(half), min(at_risk, half)))
        turns = [
            PlayedTurn(t.said, t.replied, t.plan, risk_level=_RISK if n in risky else 0)
            for n, t in enumerate(dialogue)
        ]
        marked.append((turns, risky))
    metrics: dict[str, float] = {}
    baselines: dict[str, float] = {}
    for name, way in ways.items():
        parts: dict[str, list[float]] = {"ratio": [], "step": [], "over_budget": []}
        for turns, risky in marked:
            timed = Timed(way)
            notes = Notes(prompts, timed, counter if tokenizer else None)  # type: ignore[arg-type]
            found = await played(prompts, notes, turns)
            for key, values in figures(prompts, found, risky).items():
                parts.setdefault(key, []).extend(values)
            parts["ratio"].append(timed.ratios[-1])
            parts["step"] += timed.spent
            parts["over_budget"] += timed.over
        into = baselines if name == "sliding" else metrics
        into |= {
            f"{name}_{'step_ms' if key == 'step' else key}": round(statistics.fmean(values), 4)
            for key, values in parts.items()
        }
    metrics["dialogues"] = len(dialogues)
    metrics["turns"] = sum(map(len, dialogues))
    metrics["budget"] = budget
    metrics["at_risk"] = at_risk
    if counter.tokens:
        metrics["bytes_per_token"] = round(counter.bytes / counter.tokens, 3)
    return {"name": "history", "metrics": metrics, "baselines": baselines}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--corpus", choices=("esconv", "mesc"), default="esconv")
    parser.add_argument("--data", type=Path, default=None, help="by default $AFFECTGRAPH_DATA")
    parser.add_argument("--dialogues", type=int, default=100)
    parser.add_argument("--budget", type=int, default=400)
    parser.add_argument("--risky", type=int, default=1, help="turns at risk in each dialogue")
    parser.add_argument("--json", action="store_true", help="one line")
    arguments = parser.parse_args()
    data = arguments.data or Path(os.environ.get("AFFECTGRAPH_DATA", "../shared/data"))

    async def run() -> dict[str, object]:
        dialogues = await dialogues_of(arguments.corpus, data, arguments.dialogues)
        return await measure(dialogues, arguments.budget, arguments.risky)

    result = asyncio.run(run())
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
