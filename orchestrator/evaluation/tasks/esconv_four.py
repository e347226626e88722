"""``esconv``: strategies and responses in peer support chats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np

from affectgraph.orchestrator.evaluation import dialogue_speech as speech
from affectgraph.orchestrator.evaluation import floors
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.bootstrap import Groups
from affectgraph.orchestrator.evaluation.dialogue_speech import Heard, Script
from affectgraph.orchestrator.evaluation.generation import check_generation, earlier
from affectgraph.orchestrator.evaluation.generation_manner import is_early
from affectgraph.orchestrator.evaluation.head_rows import as_system, systems_of, told_by_heads
from affectgraph.orchestrator.evaluation.label_tables import (
    Labels,
    System,
    Units,
    joined,
    label_table,
)
from affectgraph.orchestrator.evaluation.metrics import check_metrics
from affectgraph.orchestrator.evaluation.result import Estimate, Result, Row
from affectgraph.orchestrator.evaluation.speaking import HISTORIES, PROTOCOLS, Asked
from affectgraph.orchestrator.evaluation.summands import share
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.corpora import esconv
from affectgraph.reasoners.heads.runs import HeadRun
from affectgraph.reasoners.taxonomy import ESCONV_8
from affectgraph.reasoners.training import esconv_dialogues
from affectgraph.reasoners.training.dialogues import Dialogue
from affectgraph.reasoners.training.heads_esconv_score import PUBLISHED
from affectgraph.reasoners.training.preference import preference_bias
from affectgraph.reasoners.training.reading import TextBeliefs

_ADVICE: Final = ESCONV_8.labels.index("Providing Suggestions")
_LINES: Final = (
    "Each message of the supporter's is a unit, also one after another, as in EmoDynamiX's released"
    " data. 'preference bias' is the spread of the strategies' Bradley-Terry"
    " strengths in the confusion matrix (Kang et al., 2024, as EmoDynamiX computes it; 0 for none)."
    " 'premature advice': of the messages that are among a chat's first two of the supporter's or"
    " before any question of theirs, the share for which advice is told; the corpus's own:"
    " {own:.3f}."
)
_MERGED: Final = (
    "A supporter's messages in a row are one turn, with the strategy that has most words in it: the"
    " unit in which a language model answers. The words of the history are the corpus's."
)
_PUBLISHED: Final = tuple(
    Row.published(name, "Wan et al., 2025", **figures) for name, figures in PUBLISHED.items()
)


class Esconv:
    """Liu et al. (2021), ESConv."""

    name = "esconv"
    about = "strategy and response in ESConv: preference bias, early advice, repetition"

    async def run(self, bench: Bench) -> Result:
        """Ask the shipped head, and language models where one is named; nothing is chosen."""
        await bench.aside(check_metrics)
        await bench.aside(check_generation)
        train = await bench.aside(lambda: esconv.load(bench.data, "train"))
        test = await bench.aside(
            lambda: esconv.load(bench.data, "test", limit=bench.limit, seed=bench.seed)
        )
        heads = await told_by_heads(bench, "esconv")
        known = await esconv_dialogues.load(bench.data, "train", _unread)
        script = await _script(bench)
        heard = await speech.hear(bench, script)
        every = range(len(script.asked))
        given = await speech.given(bench, script, every)
        replies = [each.replied for one in known for each in one.exchanges if each.replied]

        def tables() -> list[Result]:
            return [
                *_strategies(bench, train, test, heads),
                *_turns(bench, known, script, heard),
                *speech.responses(bench, script, every, replies, (heard, given)),
            ]

        return joined(self.name, await bench.aside(tables))


def _lines(chats: Sequence[esconv.Chat]) -> tuple[Labels, Groups, list[bool]]:
    """Strategy of each of the supporter's messages, its chat, and whether advice is too soon."""
    lines = [
        (ESCONV_8.labels.index(line.strategy), number, line.text)
        for number, chat in enumerate(chats)
        for line in chat.lines
        if line.speaker == "supporter"
    ]
    of = np.array([number for _, number, _ in lines], np.int64)
    before = earlier([text for *_, text in lines], of)
    truth = np.array([strategy for strategy, *_ in lines], np.int64)
    return truth, of, [is_early(each) for each in before]


def _strategies(
    bench: Bench,
    train: Sequence[esconv.Chat],
    test: Sequence[esconv.Chat],
    heads: Sequence[HeadRun],
) -> Iterator[Result]:
    """Tables over messages, one a protocol."""
    truth, of, early = _lines(test)
    known, *_ = _lines(train)
    soon = np.array(early)

    def advice(told: Labels) -> Estimate:
        statistic = share((told == _ADVICE) & soon, soon)
        (drawn,) = bench.bootstrap.values([statistic], of)
        return bench.bootstrap.interval(statistic.value, drawn)

    for history, note in PROTOCOLS.items():
        units = Units(
            f"ESConv, strategy, test, messages, {HISTORIES[history]}",
            ESCONV_8.labels,
            truth,
            of,
            f"{note} {_LINES.format(own=advice(truth).value)}",
        )
        runs = systems_of(heads, "strategy", history, "utterance")
        yield label_table(
            bench,
            units,
            _floors(known, truth, of, bench.seed, gold=history == "gold"),
            [as_system(run, units) for run in runs],
            _PUBLISHED if history == "gold" else (),
            over=_over(known, gold=history == "gold"),
            extra={"preference bias": partial(_bias, truth), "premature advice": advice},
        )


def _bias(truth: Labels, told: Labels) -> Estimate:
    return Estimate(preference_bias(truth, told, len(ESCONV_8)))


def _over(known: Labels, *, gold: bool) -> str:
    return _LAST if gold else f"majority (always {_commonest(known)})"


_LAST: Final = "persistence, the supporter's last"


def _commonest(known: Labels) -> str:
    return ESCONV_8.labels[int(floors.majority(known, 1)[0])]


def _floors(
    known: Labels, truth: Labels, of: Groups, seed: int, *, gold: bool
) -> dict[str, Labels]:
    most = floors.majority(known, len(truth))
    told = {
        f"majority (always {_commonest(known)})": most,
        "random": floors.random(known, len(truth), seed),
    }
    return told | ({_LAST: floors.persistence(truth, of, int(most[0]))} if gold else {})


async def _unread(texts: Sequence[str]) -> list[Distribution | None]:
    """Nobody reads the emotions where no language model is told them."""
    return [None] * len(texts)


async def _script(bench: Bench) -> Script:
    read = TextBeliefs() if bench.model or bench.agent else _unread
    dialogues = await esconv_dialogues.load(
        bench.data, "test", read, limit=bench.limit, seed=bench.seed
    )
    asked = tuple(
        Asked(number, each.said, each)
        for number, dialogue in enumerate(dialogues)
        for each in dialogue.exchanges
        if each.said and each.replied
    )
    return Script("esconv-test", "ESConv, test", asked, dialogues, ESCONV_8.name, _MERGED)


def _turn_labels(dialogues: Sequence[Dialogue]) -> Labels:
    decided = [each.plan.strategy for one in dialogues for each in one.exchanges]
    return np.array([ESCONV_8.labels.index(each.label) for each in decided if each], np.int64)


def _turns(
    bench: Bench, known: Sequence[Dialogue], script: Script, heard: Sequence[Heard]
) -> Iterator[Result]:
    """Tables over merged turns, where a language model was asked."""
    prior = speech.shares(_turn_labels(known), len(ESCONV_8))
    gold = [one.gold.plan.strategy for one in script.asked]
    truth = np.array([ESCONV_8.labels.index(each.label) for each in gold if each], np.int64)
    of = np.array([one.dialogue for one in script.asked], np.int64)
    rows = range(len(script.asked))
    for history, note in PROTOCOLS.items():
        told = [
            one.system("strategy", ESCONV_8, prior, rows) for one in heard if one.history == history
        ]
        systems: list[System] = [each for each in told if each is not None]
        if systems:
            title = f"ESConv, strategy, test, turns, {HISTORIES[history]}"
            units = Units(title, ESCONV_8.labels, truth, of, f"{note} {_MERGED}")
            yield label_table(
                bench,
                units,
                _floors(_turn_labels(known), truth, of, bench.seed, gold=history == "gold"),
                systems,
                over=_over(_turn_labels(known), gold=history == "gold"),
                extra={"preference bias": partial(_bias, truth)},
            )
