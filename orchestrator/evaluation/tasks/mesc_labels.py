"""MESC's label tables: client emotion, strategy, therapist's emotion, in both protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from affectgraph.orchestrator.evaluation import floors
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.head_rows import as_system, systems_of
from affectgraph.orchestrator.evaluation.label_tables import Labels, System, Units, label_table
from affectgraph.orchestrator.evaluation.result import Result
from affectgraph.orchestrator.evaluation.speaking import HISTORIES, PROTOCOLS, History
from affectgraph.orchestrator.evaluation.tasks.mesc_published import published
from affectgraph.orchestrator.evaluation.tasks.mesc_units import Side
from affectgraph.perceivers.corpora import mesc
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.heads.runs import HeadRun, Test
from affectgraph.reasoners.plan import LabelStageName
from affectgraph.reasoners.taxonomy import MESC_10

_COPIED: Final = (
    " Consecutive utterances of one speaker mostly share their label, so figures on utterances"
    " mostly say how well the last label is copied."
)
_TONE: Final = (
    " Always saying neutral scores as high as the best published system; the agent's own tone is a"
    " rule."
)
_EPISODES: Final = (
    " The public split has scenes of one episode in train and in test; here no episode is in both."
)


@dataclass(frozen=True)
class LabelTask:
    """One of the label tasks.

    Attributes:
        name: In titles.
        stage: Which label.
        side: Whose labels.
        labels: The label set.
        published: Name of the published rows.
    """

    name: str
    stage: LabelStageName
    side: Side
    labels: LabelSet
    published: str


EMOTION: Final = LabelTask("client emotion", "user_emotion", Side("client"), MESC_7, "emotion")
STRATEGY: Final = LabelTask(
    "strategy", "strategy", Side("therapist", strategy=True), MESC_10, "strategy"
)
TONE: Final = LabelTask("therapist's emotion", "system_emotion", Side("therapist"), MESC_7, "tone")


@dataclass(frozen=True)
class Split:
    """Train and test in one unit.

    Attributes:
        unit: Which.
        train: In this unit.
        test: In this unit.
        utterances: The test split's utterances in any case.
    """

    unit: mesc.Unit
    train: mesc.Sessions
    test: mesc.Sessions
    utterances: mesc.Sessions


@dataclass(frozen=True)
class Told:
    """What systems tell.

    Attributes:
        heads: Trained heads, in every unit and protocol.
        models: Language models: of the stage and history the systems, over the turns.
    """

    heads: tuple[HeadRun, ...] = ()
    models: Mapping[tuple[LabelStageName, History], tuple[System, ...]] = field(
        default_factory=dict
    )

    def runs(self, task: LabelTask, history: History, unit: mesc.Unit, test: Test) -> list[HeadRun]:
        """The heads' runs of one table, ours first; nobody trains a head for the own emotion."""
        stage = task.stage
        if stage == "system_emotion":
            return []
        return systems_of(self.heads, stage, history, unit, test)

    def systems(
        self, task: LabelTask, units: Units, history: History, unit: mesc.Unit, test: Test
    ) -> list[System]:
        """Those of one table, the heads first."""
        runs = self.runs(task, history, unit, test)
        models = (
            self.models.get((task.stage, history), ())
            if (unit, test) == ("turn", "official")
            else ()
        )
        return [*(as_system(run, units) for run in runs), *models]


def label_tables(
    bench: Bench, split: Split, told: Told, tasks: Sequence[LabelTask]
) -> Iterator[Result]:
    """The tables of some tasks in one unit, both protocols."""
    for task in tasks:
        truth, of = task.side.units(split.test)
        blind = task.side.blind(split.train, len(truth), bench.seed)
        for history, note in PROTOCOLS.items():
            units = Units(
                f"MESC, {task.name}, test, {split.unit}s, {HISTORIES[history]}",
                task.labels.labels,
                truth,
                of,
                note
                + (_COPIED if split.unit == "utterance" else "")
                + (_TONE if task is TONE else ""),
            )
            repeated = _repeated(task.side, split) if history == "gold" else {}
            yield label_table(
                bench,
                units,
                blind | repeated,
                told.systems(task, units, history, split.unit, "official"),
                published(task.published) if (split.unit, history) == ("turn", "gold") else (),
                over=[*blind, *repeated][-1] if repeated else next(iter(blind)),
            )


def episode_tables(bench: Bench, split: Split, told: Told) -> Iterator[Result]:
    """The heads once more, trained and tested on different episodes.

    Args:
        bench: The bench.
        split: The public split in turns, for what is told without looking.
        told: Holds runs over such a split, or none.
    """
    for task in (EMOTION, STRATEGY):
        for history, note in PROTOCOLS.items():
            runs = told.runs(task, history, "turn", "episodes")
            if not runs:
                continue
            units = Units(
                f"MESC, {task.name}, split by episode, turns, {HISTORIES[history]}",
                task.labels.labels,
                runs[0].truth,
                runs[0].groups,
                note + _EPISODES,
            )
            blind = task.side.blind(split.train, len(units.truth), bench.seed)
            last = floors.persistence(units.truth, units.dialogues, task.side.first(split.train))
            name = f"persistence, the {task.side.speaker}'s last turn"
            repeated = {name: last} if history == "gold" else {}
            yield label_table(
                bench,
                units,
                blind | repeated,
                told.systems(task, units, history, "turn", "episodes"),
                over=name if repeated else next(iter(blind)),
            )


def _repeated(side: Side, split: Split) -> dict[str, Labels]:
    """Persistence: the speaker's last unit, and of turns the last utterance as well."""
    truth, of = side.units(split.test)
    last = floors.persistence(truth, of, side.first(split.train))
    told = {f"persistence, the {side.speaker}'s last {split.unit}": last}
    if split.unit == "turn":
        told[f"persistence, the {side.speaker}'s last utterance"] = side.last_utterance(
            split.train, split.utterances
        )
    elif side.strategy:
        opened = MESC_10.labels.index("Open questions")
        told["persistence, open questions at first"] = floors.persistence(truth, of, opened)
    return told
