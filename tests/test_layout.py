"""The five rooms as they are installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
ROOMS = ("perceivers", "memory", "reasoners", "policies", "orchestrator")


def packages_in_tree() -> set[str]:
    return {
        ".".join(("affectgraph", *file.parent.relative_to(REPOSITORY).parts))
        for room in ROOMS
        for file in (REPOSITORY / room).rglob("__init__.py")
    }


def test_the_project_lists_every_package_of_the_tree() -> None:
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_in_tree()


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {f.parent for room in ROOMS for f in (REPOSITORY / room).rglob("*.py")}
    assert [f for f in folders if not (f / "__init__.py").is_file()] == []


@pytest.mark.parametrize("package", sorted(packages_in_tree()))
def test_every_package_is_installed(package: str) -> None:
    assert len(importlib.import_module(package).__doc__ or "") > 10


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_typed(room: str) -> None:
    assert (REPOSITORY / room / "py.typed").is_file()


def test_files_stay_small() -> None:
    long = {
        str(file.relative_to(REPOSITORY)): lines
        for file in REPOSITORY.rglob("*.py")
        if not any(part.startswith((".venv", "build")) for part in file.parts)
        and (lines := len(file.read_text().splitlines())) > 800
    }
    assert long == {}


HEAVY = [
    "torch",
    "transformers",
    "chromadb",
    "onnxruntime",
    "onnx",
    "faster_whisper",
    "ctranslate2",
    "sklearn",
]


def test_importing_a_room_loads_nothing_heavy_and_opens_no_connection() -> None:
    program = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('a connection at import')\n"
        "socket.socket.connect = refuse\n"
        "import affectgraph.orchestrator.presets, affectgraph.orchestrator.agent\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_command_is_installed() -> None:
    scripts = importlib.metadata.entry_points(group="console_scripts", name="affectgraph")
    assert {script.value for script in scripts} == {"affectgraph.orchestrator.cli.app:main"}
