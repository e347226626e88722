"""BLEU and ROUGE-L: how much a response overlaps with its reference.

"BLEU-2" is not one number. The code that paper 2 (MultiMood, Le et al.) released scores each
response with nltk's ``sentence_bleu``, weights 0.99 and 0.01, no smoothing, and takes the mean:
nearly the share of the response's words that stand in the reference, and nearly 0 where no pair of
words does. The usual BLEU-2 has weights of a half each and counts over the whole corpus (Papineni
et al., 2002; here by sacrebleu). Both are printed; only the first may stand beside paper 2's rows.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from affectgraph.orchestrator.evaluation.bootstrap import Floats, Statistic

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

BLEU_2_OF_PAPER_2: Final = "bleu-2 of paper 2"
_WEIGHTS: Final = (0.99, 0.01)
_ORDERS: Final = (2, 4)
_LONGEST: Final = max(_ORDERS)
_SENTENCES: Final = re.compile(r"(?<=[.!?])\s+")


def tokens(text: str) -> list[str]:
    """Words and marks in lower case, as the Penn Treebank has them.

    nltk's ``word_tokenize`` first finds sentences with a model that it downloads; here a sentence
    ends at a mark and a space. What differs is a full stop after an abbreviation.
    """
    from nltk.tokenize.destructive import NLTKWordTokenizer

    split = NLTKWordTokenizer()
    return [
        word for sentence in _SENTENCES.split(text.lower()) for word in split.tokenize(sentence)
    ]


def bleu_of_paper_2(references: Sequence[str], candidates: Sequence[str]) -> Floats:
    """Each response's score as paper 2's released code has it, in percent, shape (n,).

    Lower case, weights 0.99 and 0.01, no smoothing; 0 for an empty response. It has no name of
    its own in the paper, which says BLEU-2.
    """
    from nltk.translate.bleu_score import sentence_bleu

    return np.array(
        [
            100 * sentence_bleu([wanted], told, _WEIGHTS, _unsmoothed) if wanted and told else 0.0
            for wanted, told in (
                (tokens(reference), tokens(candidate))
                for reference, candidate in zip(references, candidates, strict=True)
            )
        ],
        np.float64,
    )


def rouge_l(references: Sequence[str], candidates: Sequence[str]) -> Floats:
    """F1 of the longest common subsequence of stemmed words, in percent, shape (n,); Lin (2004)."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    pairs = zip(references, candidates, strict=True)
    return np.array(
        [100 * scorer.score(wanted, told)["rougeL"].fmeasure for wanted, told in pairs], np.float64
    )


def corpus_bleu(references: Sequence[str], candidates: Sequence[str]) -> dict[str, Statistic]:
    """BLEU-2 and BLEU-4 over all responses, in percent: lower case, sacrebleu's 13a tokens.

    Equal weights, sacrebleu's default smoothing for an order that nothing matches. Matches,
    n-grams and lengths add up over responses, so draws need no counting anew.
    """
    from sacrebleu.metrics.bleu import BLEU

    counter = BLEU(lowercase=True)
    rows = np.array(
        [
            _counts(counter, wanted, told)
            for wanted, told in zip(references, candidates, strict=True)
        ],
        np.float64,
    )
    return {f"bleu-{order}": Statistic(rows, partial(_corpus, order=order)) for order in _ORDERS}


def _counts(counter: BLEU, reference: str, candidate: str) -> list[int]:
    """Matches of each order, n-grams of each order, length, length of the reference."""
    told = counter.corpus_score([candidate], [[reference]])
    return [*told.counts, *told.totals, told.sys_len, told.ref_len]


def _corpus(sums: Floats, order: int) -> Floats:
    from sacrebleu.metrics.bleu import BLEU

    return np.array(
        [
            BLEU.compute_bleu(
                correct=row[:order],
                total=row[_LONGEST : _LONGEST + order],
                sys_len=row[-2],
                ref_len=row[-1],
                smooth_method="exp",
                max_ngram_order=order,
            ).score
            for row in sums.astype(int).tolist()
        ],
        np.float64,
    )


def _unsmoothed(precisions: Sequence[Any], **_: object) -> list[Any]:
    """As "method0" of nltk, which warns of each response that no pair of words matches."""
    return [p if p.numerator else sys.float_info.min for p in precisions]
