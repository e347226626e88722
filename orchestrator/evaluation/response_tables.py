"""Tables of what systems said: against the corpus's replies, and by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from affectgraph.orchestrator.evaluation import generation_overlap as overlap
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.bootstrap import Floats, Groups
from affectgraph.orchestrator.evaluation.generation import (
    Responses,
    against_references,
    by_themselves,
    earlier,
)
from affectgraph.orchestrator.evaluation.result import Kept, Kind, Result, Row, Table

_ROUNDS: Final = ((300, 50), (30, 300))
"""Replies of train that are tried as the one for all, and on how many turns: the best of the first
round enter the second."""
_NO_BERTSCORE: Final = (
    " BERTScore is left out: name a folder with its encoder (papers: roberta-large) by"
    " --bertscore-model or AFFECTGRAPH_BERTSCORE."
)
OVERLAP: Final = (
    "Percent. 'bleu-2 of paper 2' is counted as that paper's released code does: the mean of nltk's"
    " sentence BLEU, weights 0.99 and 0.01, unsmoothed; compare it with that paper's rows alone."
    " 'bleu-2' and 'bleu-4' count over the corpus (sacrebleu, lower case), 'rouge-l' is F1 of"
    " stemmed words. One reply that is the same for every turn stands among the floors."
)
MANNER: Final = (
    "dist-n without intervals, see docs/evaluation.md. 'questions': a reply; 'question runs': share"
    " of replies that ask right after a reply that asked; 'premature advice': share of replies with"
    " advice among a dialogue's first two and those before any question; 'repetition': share of"
    " runs of four words said again within a reply; 'repeats': of runs of three words, within the"
    " dialogue. {before} The corpus's own replies come first."
)
_BEFORE: Final = {
    False: "What stands before a reply is what the corpus's supporter had said.",
    True: "What stands before a system's reply is what it had said itself, although its prompt"
    " holds the words of the corpus.",
}


@dataclass(frozen=True)
class Turns:
    """Replies that were due.

    Attributes:
        title: Corpus, split and protocol.
        references: What the corpus's supporter said.
        dialogues: Whose each is, shape (n,).
        before: What the corpus's supporter had said before each, oldest first.
        note: The protocol.
        free: Whether before each reply of a system stands what it said itself.
    """

    title: str
    references: tuple[str, ...]
    dialogues: Groups
    before: tuple[tuple[str, ...], ...]
    note: str = ""
    free: bool = False

    def said(self, candidates: tuple[str, ...], *, human: bool) -> Responses:
        """Some replies, with what stands before each."""
        if human or not self.free:
            return Responses(candidates, self.dialogues, self.before)
        own = earlier(candidates, self.dialogues)
        before = tuple(tuple(words for words in each if words) for each in own)
        return Responses(candidates, self.dialogues, before)


@dataclass(frozen=True)
class Replies:
    """What one system said to each."""

    name: str
    said: tuple[str, ...]
    kind: Kind = "ours"
    note: str = ""


def response_tables(
    bench: Bench, turns: Turns, systems: Sequence[Replies], published: Sequence[Row] = ()
) -> Result:
    """Both tables of some replies.

    Args:
        bench: How intervals are drawn, and where BERTScore's encoder lies.
        turns: What was due.
        systems: What was said: floors first.
        published: Rows of papers, in percent.

    Raises:
        ExtraMissingError: If nltk, sacrebleu or rouge-score is not installed.
    """
    against, manner = list[Row](), list[Row]()
    human = Replies("the corpus's own", turns.references, "baseline")
    for system in (human, *systems):
        said = turns.said(system.said, human=system is human)
        n = len(system.said)
        if system is not human:
            figures = against_references(
                turns.references, said, bench.bootstrap, bertscore=bench.bertscore
            )
            against.append(Row(system.name, system.kind, figures, n, system.note))
        told = by_themselves(said, bench.bootstrap)
        manner.append(Row(system.name, system.kind, told, n, system.note))
    note = OVERLAP + ("" if bench.bertscore else _NO_BERTSCORE)
    by_itself = MANNER.format(before=_BEFORE[turns.free])
    title = f"{turns.title}, responses"
    return Result(
        title,
        (
            Table(title, (*against, *published), f"{turns.note} {note}".strip()),
            Table(f"{title} by themselves", tuple(manner), f"{turns.note} {by_itself}".strip()),
        ),
        kept=_kept(title, turns, systems),
    )


def response_floors(known: Sequence[str], n: int, seed: int) -> tuple[Replies, ...]:
    """Replies without looking: any of train's, and one of train's for all, n times each.

    The one for all is the best of 300 drawn ones on 300 drawn turns of train, found in two rounds,
    by each of the two figures that papers print.
    """
    rng = np.random.default_rng(seed)
    drawn = tuple(known[i] for i in rng.integers(0, len(known), n).tolist())
    rows = [Replies("random reply of train", drawn, "baseline")]
    for name, score in (("BLEU", overlap.bleu_of_paper_2), ("ROUGE-L", overlap.rouge_l)):
        best = _one_for_all(known, score, np.random.default_rng(seed))
        rows.append(
            Replies(
                f"one reply to all ({name})",
                (best,) * n,
                "baseline",
                f"the same {len(best.split())} words every time, chosen on train by {name}",
            )
        )
    return tuple(rows)


def _one_for_all(
    known: Sequence[str],
    score: Callable[[Sequence[str], Sequence[str]], Floats],
    rng: np.random.Generator,
) -> str:
    common = [reply for reply, _ in Counter(known).most_common()]
    offered: list[str] = common[:1] + [
        common[i] for i in rng.permutation(np.arange(1, len(common))).tolist()
    ]
    for most, turns in _ROUNDS:
        tried = [known[i] for i in rng.permutation(len(known))[:turns].tolist()]
        means = {each: float(score(tried, [each] * len(tried)).mean()) for each in offered[:most]}
        offered = sorted(means, key=means.__getitem__, reverse=True)
    return offered[0]


def _kept(title: str, turns: Turns, systems: Sequence[Replies]) -> tuple[Kept, ...]:
    """Each reply's score as paper 2 has it, of the first of ours."""
    ours = next((each for each in systems if each.kind == "ours"), None)
    if ours is None:
        return ()
    scores: Floats = overlap.bleu_of_paper_2(turns.references, ours.said)
    return (Kept(title, "mean", np.arange(len(scores)), scores, turns.dialogues),)
