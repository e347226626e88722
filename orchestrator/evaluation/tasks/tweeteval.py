"""``tweeteval``: emotions of posts, zero-shot."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import floors
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.metrics import (
    ACCURACY,
    MACRO_F1,
    WEIGHTED_F1,
    confusion,
    measure,
)
from affectgraph.orchestrator.evaluation.result import Kept, Result, Row, Table
from affectgraph.orchestrator.evaluation.texts import Floats, Told, read_texts
from affectgraph.perceivers.corpora import tweeteval
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import EKMAN_7, GOEMOTIONS_28

CARRIED: Final = MappingProxyType(
    {
        "anger": "anger annoyance disapproval disgust",
        "joy": "joy admiration amusement approval excitement gratitude love pride relief",
        "optimism": "optimism caring desire",
        "sadness": "sadness disappointment embarrassment fear grief nervousness remorse",
    }
)
"""GoEmotions' labels told as the four of TweetEval. Lossy: neutral, surprise, realization,
confusion and curiosity have no place among the four and are left out; fear is told as sadness."""

_CARRIED_EKMAN: Final = MappingProxyType(
    {"anger": "anger disgust", "joy": "joy", "optimism": "", "sadness": "sadness fear"}
)
"""The same for readers over Ekman's seven; optimism is then never told."""

_NOTE: Final = (
    "Zero-shot: the reader never saw this corpus or its four labels; its labels are told as these"
    " by a mapping that was declared beforehand and is lossy. Published rows are fine-tuned on the"
    " corpus's training split."
)


class TweetEval:
    """Barbieri et al. (2020); emotions of Mohammad et al. (2018)."""

    name = "tweeteval"
    about = "4 emotions of posts, zero-shot through a declared mapping"

    async def run(self, bench: Bench) -> Result:
        """Read the test split; nothing is chosen."""
        train = await bench.aside(lambda: tweeteval.load(bench.data, "train"))
        test = await bench.aside(
            lambda: tweeteval.load(bench.data, "test", limit=bench.limit, seed=bench.seed)
        )
        told = await read_texts(bench, "tweeteval-test", test.texts)
        guess = four(told, np.bincount(train.labels, minlength=4) / len(train)).argmax(axis=1)
        return await bench.aside(
            lambda: self._result(bench, train.labels, test.labels, guess, told)
        )

    def _result(
        self,
        bench: Bench,
        train: NDArray[np.int64],
        truth: NDArray[np.int64],
        guess: NDArray[np.int64],
        told: Told,
    ) -> Result:
        title, n = "TweetEval emotion, test, 4 labels", len(truth)
        systems = {
            "majority": floors.majority(train, n),
            "random": floors.random(train, n, bench.seed),
            f"{bench.subjects.name}, zero-shot": guess,
        }
        rows = tuple(
            Row(
                name,
                "ours" if told_by is guess else "baseline",
                measure([MACRO_F1, ACCURACY, WEIGHTED_F1], truth, told_by, bench.bootstrap),
                n,
            )
            for name, told_by in systems.items()
        )
        published = (
            Row.published("RoBERTa (Barbieri et al., 2020)", "fine-tuned", macro_f1=0.761),
            Row.published("BERTweet (Nguyen et al., 2020)", "fine-tuned", macro_f1=0.793),
        )
        return Result(
            self.name,
            (Table(title, (*rows, *published), _NOTE),),
            (confusion(title, tweeteval.LABELS, truth, guess),),
            {"texts": n, "abstained": int(told.abstained.sum())},
            (Kept(title, "macro_f1", truth, guess),),
        )


def four(told: Told, prior: Floats) -> Floats:
    """Weights of the four labels, shape (n, 4); the prior where none has any.

    Raises:
        SetupError: If the reader's labels cannot be told as these.
    """
    if told.label_set.name == GOEMOTIONS_28.name:
        probs, labels, table = told.probs, GOEMOTIONS_28.labels, CARRIED
    elif told.reaches(EKMAN_7):
        neutral = np.eye(len(EKMAN_7))[EKMAN_7.labels.index("neutral")]
        probs, labels, table = told.to(EKMAN_7, neutral), EKMAN_7.labels, _CARRIED_EKMAN
    else:
        raise SetupError(
            f"the text perceiver speaks {told.label_set.name}, which has no mapping to"
            f" {GOEMOTIONS_28.name} or {EKMAN_7.name}: declare one in perceivers/labels.py"
        )
    columns = [[labels.index(each) for each in table[name].split()] for name in tweeteval.LABELS]
    weights = np.stack([np.nan_to_num(probs)[:, each].sum(axis=1) for each in columns], axis=1)
    return np.where(weights.sum(axis=1, keepdims=True) > 0, weights, prior)
