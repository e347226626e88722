"""From logits to labels and words. Imports torch, so import it lazily."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from affectgraph.reasoners.backends.decoder import C, Decoder
from affectgraph.reasoners.backends.trie import TokenTrie
from affectgraph.reasoners.contracts import Sampling


def constrained_probs(
    model: Decoder[C], cache: C, after: Tensor, sequences: Sequence[Sequence[int]]
) -> list[float]:
    """The exact distribution of constrained decoding over label sequences, in one pass.

    At each node of the trie the logits are masked to its children and normalised, which is what
    sampling under a constraint does; a label's probability is the product along its path. Tokens
    without an alternative cost nothing, so a long label is not punished for its length and no
    length normalisation is needed.

    Args:
        model: The model.
        cache: The prompt; unchanged afterwards.
        after: Logits (vocabulary,) after the prompt.
        sequences: Tokens of each label, none of which begins another.

    Returns:
        One probability a label; they sum to 1.
    """
    trie = TokenTrie.of(sequences)
    # Only nodes with several children need logits, and so only they and their ancestors run.
    rows = _rows(model, cache, trie, after)
    steps = torch.zeros(len(trie.ids))
    for parent in set(trie.parents):
        nodes = [n for n, p in enumerate(trie.parents) if p == parent]
        if len(nodes) > 1:
            tokens = torch.tensor([trie.ids[n] for n in nodes])
            steps[torch.tensor(nodes)] = rows[parent][tokens].float().log_softmax(-1)
    totals = torch.stack([steps[list(path)].sum() for path in trie.paths])
    return [float(p) for p in totals.softmax(-1)]


def continuation_logprobs(
    model: Decoder[C], cache: C, after: Tensor, sequences: Sequence[Sequence[int]]
) -> list[float]:
    """Log-probability of each sequence as a free continuation of the prompt, in one pass."""
    trie = TokenTrie.of(sequences)
    rows = {-1: after.log_softmax(-1)}
    if len(trie.ids) > 1:
        logits = model.look_ahead(cache, trie.ids, trie.depths, trie.parents).log_softmax(-1)
        rows |= dict(enumerate(logits))
    step = [float(rows[p][t]) for t, p in zip(trie.ids, trie.parents, strict=True)]
    return [sum(step[node] for node in path) for path in trie.paths]


def _rows(model: Decoder[C], cache: C, trie: TokenTrie, after: Tensor) -> dict[int, Tensor]:
    """Logits after each node that branches; -1 is the prompt."""
    rows = {-1: after}
    branching = {p for p in trie.parents if p >= 0 and trie.parents.count(p) > 1}
    needed = set[int]()
    for node in branching:
        while node >= 0 and node not in needed:
            needed.add(node)
            node = trie.parents[node]
    if needed:
        order = sorted(needed)
        place = {-1: -1} | {node: i for i, node in enumerate(order)}
        logits = model.look_ahead(
            cache,
            [trie.ids[n] for n in order],
            [trie.depths[n] for n in order],
            [place[trie.parents[n]] for n in order],
        )
        rows |= {node: logits[place[node]] for node in branching}
    return rows


class Sampler:
    """Chooses the next token of a response.

    Args:
        sampling: Temperature, nucleus, penalty and seed.
        ngram: No run of this many tokens is said twice in a response; 0 for no such rule. Small
            models loop without it.
        avoid: Texts as tokens, such as the last replies, of which no run of two tokens more is
            said again.
    """

    def __init__(
        self, sampling: Sampling, *, ngram: int = 4, avoid: Sequence[Sequence[int]] = ()
    ) -> None:
        self._sampling, self._ngram = sampling, ngram
        self._said: list[int] = []
        self._follows: dict[tuple[int, ...], set[int]] = {}
        self._lengths = (ngram, ngram + 2) if ngram > 1 else ()
        self._generator = torch.Generator()
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)
        for text in avoid:
            for end in range(ngram + 2, len(text) + 1):
                self._learn(text[end - ngram - 2 : end])

    def next(self, logits: Tensor) -> int:
        """Choose from logits (vocabulary,) and remember the choice."""
        scores = logits.clone()
        if self._said and self._sampling.repetition_penalty != 1.0:
            # Keskar et al. (2019), over the response only: a penalty on the prompt's words would
            # bar the person's own.
            said = torch.tensor(sorted(set(self._said)))
            held = scores[said]
            penalty = self._sampling.repetition_penalty
            scores[said] = torch.where(held > 0, held / penalty, held * penalty)
        for length in self._lengths:
            run = tuple(self._said[len(self._said) - length + 1 :])
            scores[list(self._follows.get(run, ()))] = -torch.inf
        token = self._draw(scores)
        self._said.append(token)
        if self._ngram > 1 and len(self._said) >= self._ngram:
            self._learn(self._said[-self._ngram :])
        return token

    def _learn(self, run: Sequence[int]) -> None:
        self._follows.setdefault(tuple(run[:-1]), set()).add(run[-1])

    def _draw(self, scores: Tensor) -> int:
        if self._sampling.temperature == 0:
            return int(scores.argmax())
        probs = (scores / self._sampling.temperature).softmax(-1)
        if self._sampling.top_p < 1:
            ordered, places = probs.sort(descending=True)
            # A token stays while the mass before it is below top_p, so the first always stays.
            ordered[ordered.cumsum(-1) - ordered >= self._sampling.top_p] = 0
            return int(places[torch.multinomial(ordered, 1, generator=self._generator)])
        return int(torch.multinomial(probs, 1, generator=self._generator))
