"""``mesc``: the four tasks of SMES on MESC: client emotion, strategy, own emotion, response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

from affectgraph.orchestrator.evaluation import dialogue_speech as speech
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.dialogue_speech import Heard, Published, Script
from affectgraph.orchestrator.evaluation.generation import check_generation
from affectgraph.orchestrator.evaluation.head_rows import told_by_heads
from affectgraph.orchestrator.evaluation.label_tables import System, joined
from affectgraph.orchestrator.evaluation.metrics import check_metrics
from affectgraph.orchestrator.evaluation.result import Result
from affectgraph.orchestrator.evaluation.speaking import Asked, History
from affectgraph.orchestrator.evaluation.tasks.mesc_labels import (
    EMOTION,
    STRATEGY,
    TONE,
    Split,
    Told,
    episode_tables,
    label_tables,
)
from affectgraph.orchestrator.evaluation.tasks.mesc_published import (
    published_perplexity,
    published_responses,
)
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.corpora import mesc
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.plan import Decision, LabelStageName, Plan
from affectgraph.reasoners.taxonomy import MESC_10
from affectgraph.reasoners.training import mesc_dialogues
from affectgraph.reasoners.training.dialogues import Dialogue

_WORDS: Final = (
    "The words of the history are the corpus's in both protocols, since the client answers those."
    " Counted are the therapist's turns that follow a client's."
)
_PUBLISHED: Final = Published(published_responses(), published_perplexity())


class Mesc:
    """Chu et al. (paper 1) and Le et al. (paper 2)."""

    name = "mesc"
    about = "client emotion, strategy, own emotion and response in MESC, gold history and without"

    async def run(self, bench: Bench) -> Result:
        """Train heads on train and val, read test once; nothing is chosen on it."""
        await bench.aside(check_metrics)
        await bench.aside(check_generation)
        train = await bench.aside(lambda: mesc.load(bench.data, "train"))
        test = await bench.aside(
            lambda: mesc.load(bench.data, "test", limit=bench.limit, seed=bench.seed)
        )
        turns = Split("turn", train.turns(), test.turns(), test)
        dialogues = await bench.aside(
            lambda: mesc_dialogues.load(bench.data, "test", limit=bench.limit, seed=bench.seed)
        )
        script = Script(
            "mesc-test",
            "MESC, test",
            asked(turns.test, dialogues),
            dialogues,
            MESC_10.name,
            _WORDS,
        )
        heads = await told_by_heads(bench, "mesc")
        heard = await speech.hear(bench, script)
        told = Told(heads, await _by_models(bench, turns, script, heard))
        answered = _rows(script, _is_heard, _is_answered)
        given = await speech.given(bench, script, answered)

        def tables() -> list[Result]:
            return [
                *label_tables(bench, turns, told, (EMOTION, STRATEGY, TONE)),
                *label_tables(
                    bench, Split("utterance", train, test, test), told, (EMOTION, STRATEGY)
                ),
                *episode_tables(bench, turns, told),
                *speech.responses(
                    bench, script, answered, _replies(turns.train), (heard, given), _PUBLISHED
                ),
            ]

        return joined(self.name, await bench.aside(tables))


def asked(turns: mesc.Sessions, dialogues: Sequence[Dialogue]) -> tuple[Asked, ...]:
    """Every turn of the therapist's with the client's before it, and the client's last words.

    Raises:
        SetupError: If they are not all of the turns, each once.
    """
    due = list[Asked]()
    runs = groupby(turns.rows, key=lambda row: row.dialogue)
    for (number, rows), dialogue in zip(runs, dialogues, strict=True):
        *_, last = rows
        due += (Asked(number, each.said, each) for each in dialogue.exchanges)
        if last.speaker == "client":
            belief = Distribution.certain(MESC_7, MESC_7.labels[last.emotion])
            felt = Decision(
                stage="user_emotion", distribution=belief, label=belief.top, source="corpus"
            )
            unanswered = Exchange(said=last.text, replied="", plan=Plan(user_emotion=felt))
            due.append(Asked(number, last.text, unanswered))
    heard, said = len(turns.of("client")), len(turns.of("therapist"))
    if sum(map(_is_heard, due)) != heard or sum(map(_is_answered, due)) != said:
        raise SetupError("MESC: a turn of the test split has no words")
    return tuple(due)


def _is_heard(one: Asked) -> bool:
    return bool(one.said)


def _is_answered(one: Asked) -> bool:
    return bool(one.gold.replied)


def _rows(script: Script, *wanted: Callable[[Asked], bool]) -> list[int]:
    return [row for row, one in enumerate(script.asked) if all(want(one) for want in wanted)]


async def _by_models(
    bench: Bench, split: Split, script: Script, heard: Sequence[Heard]
) -> dict[tuple[LabelStageName, History], tuple[System, ...]]:
    """Label systems of the language models, each over its table's turns."""
    told: dict[tuple[LabelStageName, History], tuple[System, ...]] = {}
    for task in (EMOTION, STRATEGY, TONE):
        rows = _rows(script, _is_heard if task is EMOTION else _is_answered)
        known, _ = task.side.units(split.train)
        prior = speech.shares(known, len(task.labels))
        for one in heard:
            system = one.system(task.stage, task.labels, prior, rows)
            key = (task.stage, one.history)
            told[key] = (*told.get(key, ()), *((system,) if system else ()))
    scored = await speech.scored(bench, script, _rows(script, _is_heard))
    if scored is not None:
        told["user_emotion", "free"] = (*told.get(("user_emotion", "free"), ()), scored)
    return told


def _replies(train: mesc.Sessions) -> list[str]:
    pairs = zip(train.rows, train.rows[1:], strict=False)
    return [
        after.text
        for before, after in pairs
        if (before.speaker, after.speaker) == ("client", "therapist")
        and before.dialogue == after.dialogue
    ]
