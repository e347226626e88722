"""What generated responses come to: against references, and by themselves.

Two kinds of figures. *Against a reference*: BLEU, ROUGE-L, BERTScore (in percent, as papers print
them). *By themselves*: how various, long, repetitive, questioning and quick to advise they are.
Replies of one dialogue are drawn together, so intervals say what other dialogues would give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import generation_manner as manner
from affectgraph.orchestrator.evaluation import generation_overlap as overlap
from affectgraph.orchestrator.evaluation.bootstrap import Bootstrap, Groups, Statistic
from affectgraph.orchestrator.evaluation.result import Estimate
from affectgraph.orchestrator.evaluation.summands import mean
from affectgraph.perceivers.errors import ExtraMissingError


@dataclass(frozen=True)
class Responses:
    """What a system said, reply by reply, each dialogue's in their order.

    Attributes:
        candidates: What the system said.
        dialogues: Whose each reply is, shape (n,).
        before: What the supporter had said before each reply, oldest first: the corpus's
            supporter with a gold history, the system itself where it ran free.
    """

    candidates: tuple[str, ...]
    dialogues: Groups
    before: tuple[tuple[str, ...], ...]


def score_responses(
    references: Sequence[str],
    candidates: Sequence[str],
    dialogues: Sequence[int] | NDArray[np.int64],
    *,
    before: Sequence[Sequence[str]] | None = None,
    bootstrap: Bootstrap | None = None,
    bertscore: Path | None = None,
) -> dict[str, Estimate]:
    """All figures of some responses.

    Args:
        references: What the corpus's supporter said.
        candidates: What the system said in its place; a reply may be empty.
        dialogues: Whose each reply is, those of a dialogue in their order.
        before: What the supporter had said before each reply, oldest first; by default the
            references of the same dialogue that stand before it (gold history).
        bootstrap: How intervals are drawn; whole dialogues at a time.
        bertscore: Folder of BERTScore's encoder; without it that figure is left out.

    Returns:
        Figures by name: those of :func:`against_references`, then those of :func:`by_themselves`.

    Raises:
        ValueError: If there is no reply, or the lengths differ.
        ExtraMissingError: If nltk, sacrebleu or rouge-score is not installed.
        SetupError: If the folder holds no encoder.
    """
    groups = np.asarray(dialogues)
    counts = {
        len(references),
        len(candidates),
        len(groups),
        len(references if before is None else before),
    }
    if len(counts) != 1 or 0 in counts:
        raise ValueError(
            f"{len(references)} references, {len(candidates)} candidates, {len(groups)} dialogues"
            " and their histories: want the same number of each, 1 or more"
        )
    told = earlier(references, groups) if before is None else before
    said = Responses(tuple(candidates), groups, tuple(tuple(each) for each in told))
    drawn = bootstrap or Bootstrap()
    return {
        **against_references(references, said, drawn, bertscore=bertscore),
        **by_themselves(said, drawn),
    }


def against_references(
    references: Sequence[str],
    said: Responses,
    bootstrap: Bootstrap,
    *,
    bertscore: Path | None = None,
) -> dict[str, Estimate]:
    """Overlap with what the corpus's supporter said, in percent.

    Returns:
        ``bleu-2 of paper 2`` (see :func:`~.generation_overlap.bleu_of_paper_2`), ``bleu-2`` and
        ``bleu-4`` over the corpus, ``rouge-l``, and ``bertscore`` where its encoder was given.
    """
    check_generation()
    statistics = {
        overlap.BLEU_2_OF_PAPER_2: mean(overlap.bleu_of_paper_2(references, said.candidates)),
        **overlap.corpus_bleu(references, said.candidates),
        "rouge-l": mean(overlap.rouge_l(references, said.candidates)),
    }
    if bertscore is not None:
        from affectgraph.orchestrator.evaluation.generation_bertscore import f1

        statistics["bertscore"] = mean(f1(bertscore, references, said.candidates))
    return estimates(statistics, bootstrap, said.dialogues)


def by_themselves(said: Responses, bootstrap: Bootstrap) -> dict[str, Estimate]:
    """What can be said of replies without a reference.

    Returns:
        ``dist-1`` and ``dist-2``, without intervals, since draws with repetition hold fewer
        different words than the rows they are drawn from; and the figures of
        :func:`~.generation_manner.figures`.
    """
    check_generation()
    various = {
        f"dist-{n}": Estimate(manner.distinct([overlap.tokens(c) for c in said.candidates], n))
        for n in (1, 2)
    }
    told = manner.figures(said.candidates, said.dialogues.tolist(), said.before)
    return {**various, **estimates(told, bootstrap, said.dialogues)}


def estimates(
    statistics: Mapping[str, Statistic], bootstrap: Bootstrap, groups: Groups
) -> dict[str, Estimate]:
    """Figures with their intervals, all from the same draws."""
    drawn = bootstrap.values(list(statistics.values()), groups)
    return {
        name: bootstrap.interval(statistic.value, values)
        for (name, statistic), values in zip(statistics.items(), drawn, strict=True)
    }


def earlier(said: Sequence[str], dialogues: Groups) -> list[tuple[str, ...]]:
    """What was said before each reply in its dialogue, oldest first."""
    spoken: dict[int, tuple[str, ...]] = {}
    told = []
    for words, dialogue in zip(said, dialogues.tolist(), strict=True):
        told.append(spoken.get(dialogue, ()))
        spoken[dialogue] = (*told[-1], words)
    return told


def check_generation() -> None:
    """Say before the work, not after it, that responses cannot be scored.

    Raises:
        ExtraMissingError: If nltk, sacrebleu or rouge-score is not installed.
    """
    if any(find_spec(name) is None for name in ("nltk", "sacrebleu", "rouge_score")):
        raise ExtraMissingError("the evaluation of responses", "eval")
