"""Predictions that are kept chunk by chunk, so that a run that was stopped goes on.

Only numbers and names of label sets are written, never what was predicted from. A chunk is
written beside its place and moved there, and carries the digest of its arrays: one that was cut
short or changed is computed again.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.blocking import BlockingPool

T = TypeVar("T")
Arrays = Mapping[str, NDArray[Any]]

_DIGEST: Final = "digest"


def _silent(done: int, total: int) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Chunked:
    """A named list of predictions on disk.

    Attributes:
        folder: Holds a folder of its own for each name and version.
        name: What is predicted.
        versions: Everything that the predictions depend on besides the items: model, settings.
        resume: Whether chunks of an earlier run count.
        report: Told how many items are done, of how many.
        size: Items in a chunk.
    """

    folder: Path
    name: str
    versions: tuple[str, ...]
    resume: bool = True
    report: Callable[[int, int], None] = _silent
    size: int = 128

    async def over(
        self,
        items: Sequence[T],
        predict: Callable[[Sequence[T]], Awaitable[Arrays]],
        *,
        known_by: Callable[[T], str] = str,
    ) -> dict[str, NDArray[Any]]:
        """Predict what is not kept yet, and give all of it.

        Args:
            items: What to predict from, in order.
            predict: Called with some items; gives arrays whose first axis is the items'.
            known_by: What an item is known by; by default its own text. Only digests are kept.

        Returns:
            The arrays over all items; empty for no items.
        """
        pool = BlockingPool(size=1)
        place = self.folder / self.name / self._key(items, known_by)
        parts: list[Arrays] = []
        self.report(0, len(items))
        for start in range(0, len(items), self.size):
            chunk = items[start : start + self.size]
            file = place / f"{start // self.size:05d}.npz"
            found = await pool.run(partial(self._read, file, len(chunk)))
            if found is None:
                found = await predict(chunk)
                await pool.run(partial(_write, file, found))
            parts.append(found)
            self.report(start + len(chunk), len(items))
        names = parts[0] if parts else {}
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def _key(self, items: Sequence[T], known_by: Callable[[T], str]) -> str:
        digest = hashlib.sha256()
        for each in (str(self.size), *self.versions, *(known_by(item) for item in items)):
            digest.update(hashlib.sha256(each.encode("utf-8", "surrogatepass")).digest())
        return digest.hexdigest()[:20]

    def _read(self, file: Path, rows: int) -> Arrays | None:
        """A chunk of an earlier run; ``None`` if there is none, or it is not whole."""
        if not self.resume or not file.is_file():
            return None
        try:
            # From memory: a file that is cut short would else stay open.
            with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            written = str(arrays.pop(_DIGEST))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, RuntimeError):
            # RuntimeError: flipped bytes may ask for a password or an unknown compression.
            return None
        whole = written == _digest(arrays) and all(len(each) == rows for each in arrays.values())
        return arrays if whole else None


def _write(file: Path, arrays: Arrays) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f"{file.stem}.{os.getpid()}.part")
    with beside.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **{_DIGEST: np.array(_digest(arrays)), **arrays})
    beside.replace(file)


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
