"""What the trainers' command lines share."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Say = Callable[[str], None]


def options(
    name: str, about: str, *, data: str, limit: str, out: str, out_required: bool = False
) -> argparse.ArgumentParser:
    """A parser of ``--data``, ``--out``, ``--seed``, ``--limit`` and ``--json``.

    Args:
        name: The trainer's module.
        about: What it does.
        data: What ``--data`` is the folder of.
        limit: What ``--limit`` counts.
        out: What ``--out`` is the folder for.
        out_required: Whether it must be given.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m affectgraph.perceivers.training.{name}", description=about
    )
    parser.add_argument("--data", type=Path, required=True, help=data)
    parser.add_argument("--out", type=Path, required=out_required, help=out)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=0, help=f"{limit} at most")
    parser.add_argument("--json", action="store_true", help="no progress, JSON on one line")
    return parser


def sayer(given: argparse.Namespace) -> Say:
    """Tells the progress on standard error, unless ``--json`` was given."""

    def say(line: str) -> None:
        if not given.json:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    return say


def write(given: argparse.Namespace, result: dict[str, Any]) -> None:
    """Print a result on standard output, on one line if ``--json`` was given."""
    sys.stdout.write(json.dumps(result, indent=None if given.json else 2) + "\n")
