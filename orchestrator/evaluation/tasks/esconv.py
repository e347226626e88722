"""``esconv-retrieval``: does an embedding find situations like this one?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.memory.contracts import Embedder
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.bootstrap import Floats
from affectgraph.orchestrator.evaluation.metrics import MEAN, measure, ndcg
from affectgraph.orchestrator.evaluation.result import Kept, Result, Row, Table
from affectgraph.orchestrator.evaluation.subjects import version
from affectgraph.orchestrator.evaluation.summands import mean
from affectgraph.perceivers.corpora import esconv
from affectgraph.perceivers.errors import SetupError

K: Final = 10
_NOTE: Final = (
    "nDCG@10 by cosine; a situation is relevant if it has the same {kind} type. {protocol} A query"
    " without any relevant situation is left out. No encoder was trained on these. The ratio's"
    " interval is paired over the queries."
)
_HELD: Final = "Queries are the situations of valid and test, documents those of train."
_ALL: Final = "Every situation of the three splits is a query over all others."


class EsconvRetrieval:
    """Liu et al. (2021); situations of the same problem, and of the same emotion."""

    name = "esconv-retrieval"
    about = "nDCG@10 of ESConv situations: the agent's embedding beside the original MiniLM's"

    async def run(self, bench: Bench) -> Result:
        """Embed every situation with both encoders; nothing is chosen.

        Raises:
            SetupError: If the spec has no encoder.
        """
        chats = await bench.aside(lambda: _chats(bench))
        held = np.array([of != "train" for of, _ in chats])
        situations = [chat.situation for _, chat in chats]
        ours = bench.subjects.embedder
        if ours is None:
            raise SetupError(f"spec {bench.subjects.name!r} has no encoder to evaluate")
        vectors = {
            _ORIGINAL: await _vectors(bench, "esconv-original", _original(bench), situations),
            bench.subjects.name: await _vectors(bench, "esconv-ours", ours, situations),
        }
        tables, kept, facts = list[Table](), list[Kept](), dict[str, float | str]()
        for kind in ("problem", "emotion"):
            types = np.array([getattr(chat, kind) for _, chat in chats])
            for asked in _asked(kind, types, held):
                table, row, ratio = await bench.aside(partial(_table, bench, asked, vectors))
                tables.append(table)
                kept.append(row)
                facts[f"ratio, {asked.title}"] = ratio
        return Result(self.name, tuple(tables), (), facts, tuple(kept))


_ORIGINAL: Final = "all-MiniLM-L6-v2 (original)"


def _original(bench: Bench) -> Embedder:
    from affectgraph.perceivers.text import OriginalMiniLM

    return OriginalMiniLM(bench.store)


def _chats(bench: Bench) -> list[tuple[str, esconv.Chat]]:
    """Chats with their split; a situation that was written twice counts once."""
    seen, chats = set[str](), list[tuple[str, esconv.Chat]]()
    splits: tuple[esconv.Split, ...] = ("train", "valid", "test")
    for split in splits:
        for chat in esconv.load(bench.data, split, limit=bench.limit, seed=bench.seed):
            if chat.situation not in seen:
                seen.add(chat.situation)
                chats.append((split, chat))
    return chats


async def _vectors(bench: Bench, name: str, encoder: Embedder, texts: Sequence[str]) -> Floats:
    """Unit vectors, shape (n, d)."""
    await encoder.warm_up()
    key = await bench.aside(
        lambda: (
            bench.subjects.version("encoder")
            if encoder is bench.subjects.embedder
            else (version(encoder),)
        )
    )

    async def embed(chunk: Sequence[str]) -> dict[str, NDArray[Any]]:
        return {"vectors": np.asarray(await encoder.embed(list(chunk)), np.float64)}

    found = (await bench.kept(name, *key).over(texts, embed))["vectors"]
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float64)


@dataclass(frozen=True)
class _Asked:
    """One question to the embeddings.

    Attributes:
        title: Of the table.
        note: The protocol.
        gains: 1 where a document is relevant to a query, 0 where it is not, NaN where a
            situation is no query or no document; shape (n, n).
        commonness: How many documents are of each situation's type, shape (n,).
    """

    title: str
    note: str
    gains: Floats
    commonness: Floats


def _asked(kind: str, types: NDArray[Any], held: NDArray[np.bool_]) -> tuple[_Asked, _Asked]:
    same = (types[:, None] == types).astype(np.float64)
    np.fill_diagonal(same, np.nan)
    split = same.copy()
    split[~held] = np.nan
    split[:, held] = np.nan
    title, of = f"ESConv situations, same {kind} type", types[:, None] == types
    return (
        _Asked(
            f"{title}, held-out queries",
            _NOTE.format(kind=kind, protocol=_HELD),
            split,
            (of & ~held).sum(axis=1).astype(np.float64),
        ),
        _Asked(
            f"{title}, leave one out",
            _NOTE.format(kind=kind, protocol=_ALL),
            same,
            of.sum(axis=1).astype(np.float64),
        ),
    )


def _table(bench: Bench, asked: _Asked, vectors: dict[str, Floats]) -> tuple[Table, Kept, float]:
    queries = np.flatnonzero(np.nansum(asked.gains, axis=1) > 0)
    if not len(queries):
        raise SetupError(f"{asked.title}: no situation has another like it; take a larger --limit")
    noise = np.random.default_rng(bench.seed).random(asked.gains.shape)
    near = {
        "majority (the commonest type first)": asked.commonness + noise / 2,
        "random": noise,
        **{name: each @ each.T for name, each in vectors.items()},
    }
    scores = {name: _scores(asked.gains, each, queries) for name, each in near.items()}
    ours = scores[bench.subjects.name]
    ratio = bench.bootstrap.ratio(mean(ours), mean(scores[_ORIGINAL]))
    rows = []
    for name, each in scores.items():
        own = name == bench.subjects.name
        figures = {"ndcg@10": measure([MEAN], each, each, bench.bootstrap)["mean"]}
        rows.append(
            Row(
                name,
                "ours" if own else "baseline",
                figures | ({"ratio to original": ratio} if own else {}),
                len(queries),
            )
        )
    table = Table(asked.title, tuple(rows), asked.note)
    return table, Kept(asked.title, "mean", queries, ours), ratio.value


def _scores(gains: Floats, near: Floats, queries: NDArray[np.int64]) -> Floats:
    """What each query's own documents come to, shape (q,)."""
    found = []
    for query in queries.tolist():
        documents = ~np.isnan(gains[query])
        found.append(ndcg(near[query, documents][None], gains[query, documents][None], K)[0])
    return np.array(found)
