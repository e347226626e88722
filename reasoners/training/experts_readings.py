"""What each expert says of the rows, kept on disk: a language model's reading is dear."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import Backend, LabelHead, Message
from affectgraph.reasoners.definitions import UNFIT_FOR_AN_AI
from affectgraph.reasoners.plan import LabelField
from affectgraph.reasoners.prompts import Prompts
from affectgraph.reasoners.stages import prompts_for
from affectgraph.reasoners.stages.experts import (
    AffectExpert,
    Expert,
    HeadExpert,
    ScoreExpert,
    StrategyTable,
)
from affectgraph.reasoners.stages.labels import belief_of
from affectgraph.reasoners.training.experts_rows import Read, Rows

Matrix = NDArray[np.float64]
Say = Callable[[str], None]

_SURE: Final = 2.0
"""A confidence that nobody has: the model is read of every row."""
_OFTEN: Final = 25


def free_experts(rows: Rows, head: LabelHead | None) -> list[Expert]:
    """The experts that need no language model."""
    own = AffectExpert() if rows.stage == "user_emotion" else StrategyTable(rows.labels)
    return [own, *([HeadExpert(head)] if head is not None else [])]


async def read_free(rows: Rows, expert: Expert) -> Matrix:
    """What an expert without a language model says of every row, shape (n, k)."""
    await expert.warm_up()
    told = [await expert.read(context, belief_of(context)) for context in rows.contexts]
    return np.stack([_row(each, rows) for each in told])


async def read_score(rows: Rows, backend: Backend, kept: Kept, say: Say) -> Matrix:
    """Completion scores of every row, shape (n, k)."""
    expert = ScoreExpert(backend, rows.labels, enough=_SURE)

    async def read(number: int) -> Distribution | None:
        return await expert.read(rows.contexts[number], None)

    return await kept.each(f"score-{rows.stage}", rows, read, say)


async def read_choice(
    rows: Rows,
    backend: Backend,
    mask: NDArray[np.bool_],
    kept: Kept,
    say: Say,
    *,
    count: int = 0,
    seed: int = 0,
) -> Matrix:
    """The model's constrained choices among what may be chosen, shape (n, k).

    Its prompts are those of a deployed agent; the user's emotion that they tell is the perceived
    one. Rows that were not drawn are zeros.

    Args:
        rows: The rows.
        backend: The language model.
        mask: Whether each label may be chosen, shape (n, k).
        kept: Where readings are kept.
        say: Told the progress.
        count: Rows at most that are read, as a choice is dearer than a score; 0 for all.
        seed: Of the draw.
    """
    prompts = prompts_for(backend, strategies="esconv-8")
    drawn = rows.drawn(count, seed)
    some = rows.at(drawn)

    async def read(number: int) -> Distribution | None:
        left = tuple(np.array(rows.labels.labels)[mask[drawn[number]]].tolist())
        asked = rows.labels.model_copy(update={"labels": left})
        chosen = await backend.choose(_prompt(prompts, some.contexts[number], rows), asked)
        return Distribution.over(rows.labels, chosen.as_dict())

    told = np.zeros((len(rows), len(rows.labels)))
    told[drawn] = await kept.each(f"choice-{rows.stage}", some, read, say)
    return told


def may_be_chosen(rows: Rows, rule: Matrix | None) -> NDArray[np.bool_]:
    """Whether each label may be chosen: fit for an AI and not barred by the rule, shape (n, k)."""
    fit = np.array([label not in UNFIT_FOR_AN_AI for label in rows.labels.labels])
    mask = np.broadcast_to(fit, (len(rows), len(rows.labels)))
    return mask.copy() if rule is None else mask & (rule > 0)


class Kept:
    """Readings that are kept in a folder, so that a run that was stopped goes on.

    Args:
        folder: The folder.
        name: What they depend on beside the rows: the model.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name.replace("/", "-")

    async def each(
        self,
        what: str,
        rows: Rows,
        read: Callable[[int], Awaitable[Distribution | None]],
        say: Say,
    ) -> Matrix:
        """Read every row, or what was kept of it.

        Args:
            what: What is read.
            rows: The rows.
            read: Reads the row of a number.
            say: Told the progress.
        """
        file = self._folder / f"{what}-{self._name}-{_digest(rows)}.npy"
        pool = BlockingPool(size=1)
        told = await pool.run(lambda: list(np.load(file)) if file.is_file() else [])
        for number in range(len(told), len(rows)):
            told.append(_row(await read(number), rows))
            if number % _OFTEN == _OFTEN - 1:
                say(f"{what}: {number + 1} of {len(rows)}")
                await pool.run(lambda: self._keep(file, told))
        await pool.run(lambda: self._keep(file, told))
        return np.stack(told)

    def _keep(self, file: Path, told: Sequence[Matrix]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new.npy")
        np.save(new, np.stack(told))
        new.replace(file)


class KeptBeliefs:
    """The text reader's beliefs, kept in a folder.

    Args:
        read: The text reader.
        folder: The folder.
    """

    def __init__(self, read: Read, folder: Path) -> None:
        self._read, self._folder = read, folder

    async def __call__(self, texts: Sequence[str]) -> list[Distribution | None]:
        """Read texts, or take what was kept of just these."""
        digest = hashlib.blake2b("\0".join(texts).encode(), digest_size=6).hexdigest()
        file = self._folder / f"affect-{digest}.npy"
        pool = BlockingPool(size=1)
        kept = await pool.run(lambda: np.load(file) if file.is_file() else None)
        if kept is not None:
            return [_told(row) for row in kept]
        found = await self._read(texts)
        await pool.run(lambda: self._keep(file, found))
        return list(found)

    def _keep(self, file: Path, found: Sequence[Distribution | None]) -> None:
        none = np.zeros(len(MESC_7))
        self._folder.mkdir(parents=True, exist_ok=True)
        rows = [none if each is None else np.array(each.probs) for each in found]
        np.save(file, np.stack(rows))


def _told(row: Matrix) -> Distribution | None:
    if not row.any():
        return None
    # Not normalised anew: a run that goes on gives the very numbers of one that did not stop.
    return Distribution(label_set=MESC_7.name, labels=MESC_7.labels, probs=tuple(row.tolist()))


def _prompt(prompts: Prompts, context: ReasoningContext, rows: Rows) -> list[Message]:
    belief = belief_of(context)
    if rows.stage != "user_emotion" and belief is not None:
        field = LabelField(stage="user_emotion", labels=MESC_7)
        decided = field.certain(belief.top, "perception").model_copy(
            update={"distribution": belief}
        )
        context = context.model_copy(update={"plan": context.plan.deciding(decided)})
    return prompts.label(context, rows.stage)


def _row(told: Distribution | None, rows: Rows) -> Matrix:
    """One row of probabilities; zeros where an expert had nothing to say."""
    return np.zeros(len(rows.labels)) if told is None else np.array(told.probs)


def _digest(rows: Rows) -> str:
    texts = "\0".join(f"{len(context.history)}\1{context.utterance}" for context in rows.contexts)
    return hashlib.blake2b(texts.encode(), digest_size=6).hexdigest()
