"""ESConv's chats as the strategy head is trained on them: every line, with the strategies known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.corpora import esconv
from affectgraph.perceivers.corpora.find import folder
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.text.encoder import Encoding
from affectgraph.reasoners.heads.strategy_lines import (
    ROLES,
    STRATEGY_COUNT,
    Floats,
    LineVector,
    Role,
    StrategyHistory,
    line_vector,
)
from affectgraph.reasoners.taxonomy import ESCONV_8

Encode = Callable[[Sequence[str]], Awaitable[list[Encoding]]]
Say = Callable[[str], None]

_FAILED: Final = "FailedESConv.json"
_CHUNK: Final = 512
_FAILED_ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {"speaker": "seeker", "listener": "supporter"}
)
_FAILED_NAMES: Final = MappingProxyType(
    {
        "Questions": "Question",
        "Other": "Others",
        "Reflection of Feelings": "Reflection of feelings",
    }
)


@dataclass(frozen=True)
class TalkLine:
    """One line: whose, what, and the index of its strategy (``None`` where there is none)."""

    role: Role
    text: str
    strategy: int | None


Chat = tuple[TalkLine, ...]


def chats(data: Path, split: esconv.Split, *, limit: int = 0, seed: int = 0) -> tuple[Chat, ...]:
    """A split, line by line, as the corpus has it: consecutive lines are not merged.

    Args:
        data: ESConv's folder, or the one that holds it as ``esconv``.
        split: Which.
        limit: Chats at most; 0 for all.
        seed: Of the draw.

    Raises:
        SetupError: If the corpus is not there or not as it should be.
    """
    found = esconv.load(data, split, limit=limit, seed=seed)
    return tuple(
        tuple(
            TalkLine("seeker", line.text, None)
            if line.speaker == "seeker"
            else TalkLine("supporter", line.text, _named(line.strategy, split))
            for line in chat.lines
        )
        for chat in found
    )


def failed_chats(data: Path, *, limit: int = 0) -> tuple[Chat, ...]:
    """The chats that ESConv's makers left out for their quality; extra ones to learn from.

    Strategies that are not among the eight (21 lines) count as unknown.

    Args:
        data: ESConv's folder, or the one that holds it as ``esconv``.
        limit: Chats at most, the first ones; 0 for all.

    Raises:
        SetupError: If the file is not there or not as it should be.
    """
    file = folder(data, "esconv", _FAILED) / _FAILED
    try:
        stored = json.loads(file.read_text("utf-8"))
        found = tuple(tuple(_failed_line(line) for line in chat["dialog"]) for chat in stored)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SetupError(f"{file}: want dialogs of speaker, content and annotation") from None
    return found[: limit or None]


def _failed_line(line: dict[str, Any]) -> TalkLine:
    role = _FAILED_ROLES[line["speaker"]]
    told = str(line["annotation"].get("strategy")) if role == "supporter" else ""
    name = _FAILED_NAMES.get(told, told)
    strategy = ESCONV_8.labels.index(name) if name in ESCONV_8.labels else None
    return TalkLine(role, line["content"].strip(), strategy)


def _named(name: str, split: str) -> int:
    if name not in ESCONV_8:
        raise SetupError(f"ESConv, {split}: {name!r} is none of the eight strategies")
    return ESCONV_8.labels.index(name)


async def vectors(
    texts: Sequence[str],
    encode: Encode,
    kept: Path | None = None,
    say: Say = lambda _: None,
    *,
    version: str = "",
    resume: bool = True,
) -> dict[str, LineVector]:
    """Each distinct text in numbers.

    Args:
        texts: Any.
        encode: The shared encoder's ``encode_all``.
        kept: A folder where the numbers are kept for another run; none are kept without.
        say: Told of the progress.
        version: What the encoder's numbers depend on besides the words.
        resume: Whether numbers of an earlier run count.
    """
    keys = {text: _key(text, version) for text in texts}
    # Half precision, in which they are kept: a second run must see what the first one saw.
    pool = BlockingPool()
    store: dict[str, NDArray[np.float16]] = await pool.run(lambda: _kept(kept))
    missing = [text for text, key in keys.items() if not resume or key not in store]
    for start in range(0, len(missing), _CHUNK):
        chunk = missing[start : start + _CHUNK]
        for text, encoding in zip(chunk, await encode(chunk), strict=True):
            row = np.concatenate([encoding.features, encoding.probs, encoding.vad])
            store[keys[text]] = row.astype(np.float16)
        say(f"encoded {start + len(chunk)} of {len(missing)} lines")
    if kept is not None and missing:
        await pool.run(partial(_keep, kept, store))
    return {text: line_vector(text, _encoding(store[key])) for text, key in keys.items()}


_NAME: Final = "strategy-encodings.npz"


def _key(text: str, version: str) -> str:
    return hashlib.sha256(f"{version}\n{text}".encode()).hexdigest()[:24]


def _encoding(row: NDArray[np.float16]) -> Encoding:
    whole = row.astype(np.float32)
    return Encoding(
        embedding=np.zeros(0, np.float32),
        features=whole[:-31],
        probs=whole[-31:-3],
        vad=whole[-3:],
    )


def _kept(folder_: Path | None) -> dict[str, NDArray[np.float16]]:
    if folder_ is None or not (folder_ / _NAME).is_file():
        return {}
    with np.load(folder_ / _NAME, allow_pickle=False) as found:
        return dict(zip(found["keys"].tolist(), found["rows"], strict=True))


def _keep(folder_: Path, store: Mapping[str, NDArray[np.float16]]) -> None:
    folder_.mkdir(parents=True, exist_ok=True)
    partial = folder_ / f"partial-{_NAME}"
    np.savez(partial, keys=np.array(list(store)), rows=np.stack(list(store.values())))
    partial.replace(folder_ / _NAME)


@dataclass(frozen=True)
class Projection:
    """The directions along which lines differ most.

    Attributes:
        mean: Of the encoder's features, shape (768,).
        basis: Shape (768, k); all directions scaled alike, so that the first spreads by 2.
    """

    mean: Floats
    basis: Floats

    @classmethod
    def fit(cls, rows: Floats, k: int) -> Projection:
        """The first ``k`` principal directions of rows of shape (n, 768)."""
        mean = rows.mean(axis=0, dtype=np.float64)
        centred = rows - mean
        spread, directions = np.linalg.eigh(centred.T @ centred / len(rows))
        # The largest stand last; a sign is fixed, so that any library gives the same.
        basis = directions[:, ::-1][:, :k]
        basis = basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(basis.shape[1])])
        scale = 2 / np.sqrt(max(float(spread[-1]), 1e-12))
        return cls(mean.astype(np.float32), (basis * scale).astype(np.float32))


def marks_of(line: TalkLine) -> Floats:
    """Role and strategy, one-hot, shape (10,)."""
    marks = np.zeros(len(ROLES) + STRATEGY_COUNT, np.float32)
    marks[ROLES.index(line.role)] = 1
    if line.strategy is not None:
        marks[len(ROLES) + line.strategy] = 1
    return marks


def history_of(chat: Chat) -> Floats:
    """The history of strategies before each line, shape (T, 46)."""
    history, rows = StrategyHistory(), []
    for line in chat:
        rows.append(history.vector())
        history.tell(line.role, line.strategy)
    return np.stack(rows)
