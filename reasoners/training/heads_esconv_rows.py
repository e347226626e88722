"""What the shipped strategy head tells of every line of ESConv's test split, for the tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.text.encoder import MiniLMEncoder
from affectgraph.reasoners.heads.runs import HeadRun, Protocol
from affectgraph.reasoners.heads.strategy import VERSION as _HEAD
from affectgraph.reasoners.heads.strategy import WEIGHTS
from affectgraph.reasoners.heads.strategy_net import StrategyNet
from affectgraph.reasoners.training.heads_esconv_data import chats, vectors
from affectgraph.reasoners.training.heads_esconv_score import read_all, truths

VERSION: Final = f"{_HEAD}.rows.1"
"""Changes when the predictions would."""
Progress = Callable[[str, int, int], None]

_NOTES: Final[dict[Protocol, str]] = {
    "gold": "the history holds the corpus's strategies; trained on train, valid and failed chats",
    "free": (
        "the history holds the head's own strategies, and the corpus's words; trained on train,"
        " valid and failed chats"
    ),
}


async def predictions(
    data: Path,
    encoder: MiniLMEncoder,
    *,
    version: str,
    run: Path,
    resume: bool = True,
    limit: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
    weights: Path = WEIGHTS,
) -> tuple[HeadRun, ...]:
    """Read the test split with gold history and with the head's own.

    Units are the supporter's lines, unmerged. Nothing is trained.

    Args:
        data: The folder that holds ``esconv``.
        encoder: The shared encoder.
        version: What the encoder's numbers depend on.
        run: A folder where encoded lines are kept for another run.
        resume: Whether what an earlier run kept there counts.
        limit: Chats at most; 0 for all.
        seed: Of the draw of chats.
        progress: Told of what is done, with a count and a total.
        weights: The head; the shipped one by default.

    Raises:
        SetupError: If the corpus is not there or not as it should be.
        ModelCorruptError: If the weights cannot be used.
    """
    pool = BlockingPool()
    test = await pool.run(lambda: chats(data, "test", limit=limit, seed=seed))
    texts = [line.text for chat in test for line in chat]
    if progress is not None:
        progress("esconv strategy: encoding", 0, len(texts))
    known = await vectors(
        texts,
        lambda some: encoder.encode_all(some, keep=False),
        run,
        version=version,
        resume=resume,
    )
    net = await pool.run(lambda: StrategyNet.load(weights))
    truth = truths(test)
    groups = np.repeat(
        np.arange(len(test)), [sum(line.strategy is not None for line in chat) for chat in test]
    )
    found = list[HeadRun]()
    for protocol, note in _NOTES.items():
        if progress is not None:
            progress(f"esconv strategy: {protocol} history", len(found), len(_NOTES))
        probs, members = await pool.run(partial(read_all, net, test, known, protocol))
        found.append(
            HeadRun(
                task="strategy",
                protocol=protocol,
                unit="utterance",
                name=f"strategy head, {len(members)} members",
                kind="ours",
                split="official",
                probs=probs,
                truth=truth,
                groups=groups,
                # With its own history every member hears the ensemble's decisions, so that
                # only gold history shows what a member reaches by itself.
                seeds=tuple(members) if protocol == "gold" else (),
                note=note,
            )
        )
    return tuple(found)
