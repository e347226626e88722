"""The benchmark of perceivers on a GPU, run small on the processor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "benchmarks" / "gpu" / "perceivers.py"
CASES = (
    "text.encoder",
    "text.transformers",
    "face.ferplus",
    "face.transformers",
    "speech.transformers",
)
PULLED = "speech.ravdess"
"""Needs a pulled model; without it the case is named as left out."""
SMALL = ("--size", "tiny", "--batches", "1,4", "--rounds", "1", "--seconds", "0.1", "--json")


def run(*options: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("transformers", reason="the extra 'gpu' is not installed")
    return subprocess.run(
        [sys.executable, str(SCRIPT), *SMALL, *options], capture_output=True, text=True
    )


def test_each_perceiver_stands_beside_its_bare_model() -> None:
    done = run("--device", "cpu")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert result["name"] == "gpu-perceivers"
    assert set(result["skipped"]) <= {PULLED}
    ran = {*CASES, PULLED} - set(result["skipped"])
    metrics, baselines = result["metrics"], result["baselines"]
    assert set(baselines) == {f"{case}.batch{batch}.per_second" for case in ran for batch in (1, 4)}
    for key, bare in baselines.items():
        ratio = metrics[key.replace("per_second", "over_bare")]
        assert ratio == pytest.approx(metrics[key] / bare, rel=0.01)
        assert ratio > 0
    for case in ran - {"text.encoder"}:
        assert metrics[f"{case}.batch1.mean_batch"] == 1
        assert 1 < metrics[f"{case}.batch4.mean_batch"] <= 4
    assert result["hardware"]["device"] == "cpu"
    assert result["hardware"]["torch"]


def test_without_a_gpu_it_says_so() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = run("--device", "cuda", "--cases", "face.ferplus")
    assert done.returncode != 0
    assert "onnxruntime-gpu" in done.stderr
    assert done.stdout == ""
