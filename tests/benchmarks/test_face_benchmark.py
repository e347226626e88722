"""The benchmark of what a face costs, run small."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "perceive_face.py"


@pytest.mark.models
def test_it_tells_what_finding_and_reading_a_face_cost(
    requires_model: Callable[[str], Path],
) -> None:
    requires_model("mtcnn")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--repeats", "2", "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert result["name"] == "perceive-face"
    metrics = result["metrics"]
    assert metrics["repeats"] == 2
    assert metrics["detect_ms"] > 0
    assert metrics["detect_cpu_ms"] > 0
    parts = sum(metrics[f"{part}_ms"] for part in ("cut_out", "check", "read"))
    assert metrics["face_ms"] == pytest.approx(parts, abs=0.01)
    assert result["baselines"]["detect_nothing_ms"] > 0
