"""Labels as one tree of tokens, and what a model must be asked to weigh them.

The arithmetic is the same whether the logits are at hand or come from a server, so both use it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Path = tuple[int, ...]
Answers = Mapping[Path, Mapping[int, float]]
"""For each path of tokens, the log-probability (natural) of each token asked about after it."""


@dataclass
class TokenTrie:
    """Labels as one tree of tokens, a parent before its children.

    Attributes:
        ids: Token of each node.
        depths: Its depth, from 0.
        parents: Index of its parent, -1 at the root.
        paths: For each label, its nodes from the root on.
    """

    ids: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    paths: list[tuple[int, ...]] = field(default_factory=list)

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]]) -> TokenTrie:
        """Build the tree.

        Args:
            sequences: Tokens of each label. No one may begin another: end them with a token that
                stands in none, such as a line break.
        """
        trie, known = cls(), dict[tuple[int, int], int]()
        for sequence in sequences:
            path, parent = list[int](), -1
            for depth, token in enumerate(sequence):
                if (parent, token) not in known:
                    known[parent, token] = len(trie.ids)
                    trie.ids.append(token)
                    trie.depths.append(depth)
                    trie.parents.append(parent)
                parent = known[parent, token]
                path.append(parent)
            trie.paths.append(tuple(path))
        return trie


def followers(sequences: Sequence[Sequence[int]], *, forced: bool) -> dict[Path, tuple[int, ...]]:
    """Which tokens may follow which, as far as a model must be asked.

    Args:
        sequences: Tokens of each label; none begins another.
        forced: Also where only one may follow. A constrained choice takes that one for nothing;
            a free continuation has its probability.

    Returns:
        Path from the root -> the tokens that may follow it, shortest paths first.
    """
    found: dict[Path, dict[int, None]] = {}
    for sequence in sequences:
        for depth, token in enumerate(sequence):
            found.setdefault(tuple(sequence[:depth]), {})[token] = None
    asked = {path: tuple(next_) for path, next_ in found.items() if forced or len(next_) > 1}
    return dict(sorted(asked.items(), key=lambda item: len(item[0])))


def constrained(sequences: Sequence[Sequence[int]], answers: Answers) -> list[float]:
    """The distribution of constrained decoding over label sequences.

    At each node the probabilities are restricted to its children and normalised, which is what
    sampling under a constraint does; a label's probability is the product along its path.

    Returns:
        One probability a label; they sum to 1.
    """
    asked = followers(sequences, forced=False)
    norms = {path: _logsumexp([answers[path][t] for t in asked[path]]) for path in asked}
    totals = [
        sum(
            answers[path][token] - norms[path]
            for depth, token in enumerate(sequence)
            if (path := tuple(sequence[:depth])) in norms
        )
        for sequence in sequences
    ]
    norm = _logsumexp(totals)
    return [math.exp(total - norm) for total in totals]


def continuations(sequences: Sequence[Sequence[int]], answers: Answers) -> list[float]:
    """Log-probability of each sequence as a free continuation."""
    return [
        sum(answers[tuple(sequence[:depth])][token] for depth, token in enumerate(sequence))
        for sequence in sequences
    ]


def _logsumexp(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))
