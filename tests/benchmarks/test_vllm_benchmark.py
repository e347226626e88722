"""The benchmarks of the reasoner on vLLM, run small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from affectgraph.orchestrator.testing.vllm_process import ADDRESS, PYTHON, VllmAt

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *options: str, url: str = "") -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in (ADDRESS, PYTHON)}
    command = [sys.executable, str(BENCHMARKS / script), "--json", *options]
    if url:
        environment[ADDRESS] = url
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.vllm
def test_both_forms_stand_beside_plain_requests(vllm_server: VllmAt) -> None:
    done = run(
        "gpu/reasoner.py", "--repeats", "1", "--exchanges", "1", "--sessions", "2",
        "--tokens", "6", url=vllm_server.address,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    metrics = result["metrics"]
    assert metrics["label_tokens"] > 0
    assert 1 <= metrics["staged_processed_over_one_prompt"] < 2
    for kind in ("fresh", "talk"):
        for plain in ("given", "said"):
            assert metrics[f"joint_over_{plain}.{kind}"] > 0
            assert result["baselines"][f"plain_{plain}_s.{kind}"] > 0
    assert metrics["joint_tokens_per_second.sessions2"] > 0
    assert result["baselines"]["plain_tokens_per_second.sessions2"] > 0


def test_without_vllm_they_say_how_to_get_one() -> None:
    done = run("vllm_reasoner.py")
    assert done.returncode != 0
    assert ".ci/vllm" in done.stderr
