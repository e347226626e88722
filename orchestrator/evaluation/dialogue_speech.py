"""What language models decide and say on a corpus's dialogues, as rows of its tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.bootstrap import Floats
from affectgraph.orchestrator.evaluation.decoding import Decoding
from affectgraph.orchestrator.evaluation.generation import earlier, estimates
from affectgraph.orchestrator.evaluation.generation_perplexity import losses, perplexity
from affectgraph.orchestrator.evaluation.label_tables import Labels, System
from affectgraph.orchestrator.evaluation.response_tables import (
    Replies,
    Turns,
    response_floors,
    response_tables,
)
from affectgraph.orchestrator.evaluation.result import Kind, Result, Row, Table
from affectgraph.orchestrator.evaluation.speakers import AgentSpeaker, CheckpointSpeaker
from affectgraph.orchestrator.evaluation.speaking import (
    HISTORIES,
    PROTOCOLS,
    Asked,
    History,
    Speaker,
    Spoken,
    answers,
    probabilities,
)
from affectgraph.orchestrator.evaluation.subjects import digest, reasoner_version
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.backends.local import LocalBackend
from affectgraph.reasoners.plan import LabelStageName
from affectgraph.reasoners.prompts import PromptLayout
from affectgraph.reasoners.stages import CompletionScore
from affectgraph.reasoners.training.dialogues import Dialogue

GIVEN: Final[tuple[LabelStageName, ...]] = ("user_emotion", "strategy", "system_emotion")
_BY_ITSELF: Final = "the model by itself, constrained choice"
_LESS: Final[tuple[tuple[str, tuple[LabelStageName, ...]], ...]] = (
    ("all labels given", ()),
    ("without emotion", ("user_emotion",)),
    ("without strategy", ("strategy",)),
    ("without own emotion", ("system_emotion",)),
    ("without any label", GIVEN),
)


@dataclass(frozen=True)
class Script:
    """A corpus's dialogues, as a language model is asked them.

    Attributes:
        name: Of what is kept, such as ``mesc-test``.
        title: Of tables, such as ``MESC, test``.
        asked: Replies that are due.
        dialogues: The same with every label, for perplexity.
        strategies: ``mesc-10`` or ``esconv-8``.
        note: What counts as a reply.
    """

    name: str
    title: str
    asked: tuple[Asked, ...]
    dialogues: tuple[Dialogue, ...]
    strategies: str
    note: str

    @property
    def layout(self) -> PromptLayout:
        """In which a checkpoint is asked."""
        return PromptLayout.trained(strategies=self.strategies)

    def before(self, rows: Sequence[int]) -> tuple[tuple[str, ...], ...]:
        """What the corpus's supporter had said before each of some replies, oldest first."""
        said = [one.gold.replied for one in self.asked]
        told = earlier(said, np.array([one.dialogue for one in self.asked], np.int64))
        return tuple(tuple(words for words in told[row] if words) for row in rows)


@dataclass(frozen=True)
class Heard:
    """What one system decided and said to a script.

    Attributes:
        name: The system.
        history: Whose labels stood in the history.
        spoken: One for each that was asked.
        note: What a reader of its rows must know.
    """

    name: str
    history: History
    spoken: tuple[Spoken, ...]
    note: str = ""

    def system(
        self, stage: LabelStageName, labels: LabelSet, prior: Floats, rows: Sequence[int]
    ) -> System | None:
        """Its labels of some rows; ``None`` if it decides over other labels.

        Args:
            stage: Which label.
            labels: The table's set.
            prior: What stands where it was not asked or failed, shape (k,).
            rows: Places in the script, in the table's order.
        """
        probs = probabilities([self.spoken[row] for row in rows], stage, labels, prior)
        return None if probs is None else System.of(self.name, probs, note=self.note)

    def replies(self, rows: Sequence[int]) -> Replies:
        """Its responses to some rows."""
        return Replies(self.name, tuple(self.spoken[row].response for row in rows), note=self.note)


async def hear(bench: Bench, script: Script) -> tuple[Heard, ...]:
    """Have the bench's checkpoint and its agent answer in both protocols, where they are asked.

    Raises:
        SetupError: If a model is absent, or fails at everything.
    """
    speakers = list[tuple[Speaker, str]]()
    if bench.model is not None:
        model = await _checkpoint(bench, bench.model, script)
        speakers.append((model, f"{_BY_ITSELF}, {model.decoding.told}"))
    if bench.agent:
        speakers.append((AgentSpeaker(bench.subjects), "with the agent's priors and bars"))
    heard = list[Heard]()
    for speaker, note in speakers:
        for history in HISTORIES:
            spoken = await answers(bench, script.name, speaker, script.asked, history)
            failed = sum(bool(one.failed) for one in spoken)
            told = f"{note}; failed at {failed}" if failed else note
            heard.append(Heard(speaker.name, history, spoken, told))
    return tuple(heard)


async def _checkpoint(bench: Bench, folder: Path, script: Script) -> CheckpointSpeaker:
    """A checkpoint by itself.

    Raises:
        SetupError: If the folder holds none.
    """
    if not await bench.aside((folder / "config.json").is_file):
        raise SetupError(f"{folder}: no checkpoint to evaluate: name a folder with --model")
    decoding = await bench.aside(lambda: Decoding.of(folder))
    return CheckpointSpeaker(
        LocalBackend(folder=folder, ngram=decoding.ngram),
        strategies=script.strategies,
        folder=folder,
        name=folder.name,
        decoding=decoding,
    )


async def given(bench: Bench, script: Script, rows: Sequence[int]) -> tuple[Replies, ...]:
    """What the bench's checkpoint says where the corpus's labels of the turn are given.

    Args:
        bench: The bench; without a checkpoint there is nothing.
        script: What is asked.
        rows: Places in the script that count.
    """
    if bench.model is None:
        return ()
    speaker = await _checkpoint(bench, bench.model, script)
    # What the corpus leaves unanswered has no labels to give.
    replied = [row for row, one in enumerate(script.asked) if one.gold.replied]
    places = {row: place for place, row in enumerate(replied)}
    answered = [script.asked[row] for row in replied]
    replies = list[Replies]()
    for name, less in _LESS[:3]:
        kept = tuple(stage for stage in GIVEN if stage not in less)
        spoken = await answers(bench, script.name, speaker, answered, "gold", given=kept)
        said = tuple(spoken[places[row]].response for row in rows)
        kind: Kind = "ablation" if less else "ours"
        note = f"labels of the turn given; {speaker.decoding.told}"
        replies.append(Replies(f"{speaker.name}, {name}", said, kind, note))
    return tuple(replies)


async def scored(bench: Bench, script: Script, rows: Sequence[int]) -> System | None:
    """The client's emotion by how well each label completes a sentence about the words alone.

    Args:
        bench: The bench; without a checkpoint there is nothing.
        script: What is asked.
        rows: Places in the script that count.
    """
    if bench.model is None:
        return None
    folder, score = bench.model, CompletionScore()
    backend = LocalBackend(folder=folder)
    await backend.warm_up()
    empty = await score.empty(backend.score, MESC_7)

    async def predict(chunk: Sequence[str]) -> dict[str, NDArray[Any]]:
        told = [await score.read(backend.score, text, MESC_7, empty) for text in chunk]
        return {"probs": np.array([each.probs for each in told], np.float64)}

    versions = await bench.aside(lambda: (digest([folder]), reasoner_version(), repr(score)))
    texts = [script.asked[row].said for row in rows]
    found = await bench.kept(f"{script.name}-scored", *versions).over(texts, predict)
    name = f"{folder.name}, scored"
    return System.of(name, found["probs"], note="words alone, no history; nothing was trained")


@dataclass(frozen=True)
class Published:
    """Rows of papers: of replies with a gold history, and of perplexity."""

    responses: tuple[Row, ...] = ()
    perplexity: tuple[Row, ...] = ()


def responses(
    bench: Bench,
    script: Script,
    rows: Sequence[int],
    known: Sequence[str],
    said: tuple[Sequence[Heard], Sequence[Replies]],
    published: Published | None = None,
) -> Iterator[Result]:
    """Tables of what was said, in both protocols, and of a checkpoint's perplexity. Blocks.

    Args:
        bench: The bench.
        script: What was asked.
        rows: Places in the script that count.
        known: Replies of train.
        said: What :func:`hear` and :func:`given` tell.
        published: Rows of papers.
    """
    heard, with_labels = said
    printed = published or Published()
    floors = response_floors(known, len(rows), bench.seed)
    for history, name in HISTORIES.items():
        ours = [one.replies(rows) for one in heard if one.history == history]
        gold = history == "gold"
        if not gold and not ours:
            continue
        turns = Turns(
            f"{script.title}, turns, {name}",
            tuple(script.asked[row].gold.replied for row in rows),
            np.array([script.asked[row].dialogue for row in rows], np.int64),
            script.before(rows),
            f"{PROTOCOLS[history]} {script.note}",
            free=not gold,
        )
        systems = [*floors, *ours, *(with_labels if gold else ())]
        yield response_tables(bench, turns, systems, printed.responses if gold else ())
    if bench.model is not None:
        yield _perplexities(bench, bench.model, script, printed.perplexity)


def _perplexities(bench: Bench, model: Path, script: Script, published: Sequence[Row]) -> Result:
    """The checkpoint's perplexity of the corpus's replies, with and without labels."""
    rows = list[Row]()
    for name, less in _LESS:
        lost = losses(model, script.dialogues, script.layout, without=less)
        told = estimates({"perplexity": perplexity(lost)}, bench.bootstrap, np.arange(len(lost)))
        kind: Kind = "ablation" if less else "ours"
        rows.append(Row(f"{model.name}, {name}", kind, told, sum(map(_replies, script.dialogues))))
    note = (
        "The corpus's replies, gold history, a token at a time; the labels of every turn given,"
        " less those named, which are left out at test time: nothing was trained anew. Perplexities"
        " of models with other vocabularies are no comparison."
    )
    title = f"{script.title}, perplexity of the replies, by task"
    return Result(title, (Table(title, (*rows, *published), note),))


def _replies(dialogue: Dialogue) -> int:
    return sum(bool(each.replied) for each in dialogue.exchanges)


def shares(labels: Labels, k: int) -> Floats:
    """Share of each class, shape (k,)."""
    return np.asarray(np.bincount(labels, minlength=k) / len(labels), np.float64)
