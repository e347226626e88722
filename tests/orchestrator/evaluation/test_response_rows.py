"""Rows of responses: what papers print, and what stands before a reply."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from affectgraph.orchestrator.evaluation import Bench, Bootstrap, Subjects
from affectgraph.orchestrator.evaluation.generation_overlap import BLEU_2_OF_PAPER_2
from affectgraph.orchestrator.evaluation.response_tables import Replies, Turns, response_tables
from affectgraph.orchestrator.evaluation.tasks.mesc_published import published, published_responses
from affectgraph.orchestrator.testing import FakeFusion


def test_rows_of_papers_are_as_printed() -> None:
    told = {
        (task, each.name): {name: figure.value for name, figure in each.metrics.items()}
        for task in ("emotion", "strategy", "tone")
        for each in published(task)
    }
    assert told["emotion", "SMES, without video"] == {"accuracy": 0.531}
    assert told["strategy", "SMES, without text"] == {"accuracy": 0.465}
    assert told["tone", "SMES, without text"] == {"weighted_f1": 0.387}
    assert told["emotion", "VideoLLaMA2-72B, zero-shot"] == {
        "accuracy": 0.5506, "weighted_f1": 0.5568,
    }  # fmt: skip
    assert told["strategy", "MultiMood, SFT + Comp"]["accuracy"] == 0.3929
    assert told["tone", "GPT-3.5"]["weighted_f1"] == 0.276
    said = {each.name: {k: v.value for k, v in each.metrics.items()} for each in
            published_responses()}  # fmt: skip
    assert said["SMES"]["bleu-4"] == 27.02
    assert said["MultiMood, SFT + Comp"][BLEU_2_OF_PAPER_2] == 5.26
    assert "bleu-2" not in said["MultiMood, SFT + Comp"]


def test_before_a_free_reply_stands_what_the_system_said_itself(tmp_path: Path) -> None:
    asks, rests, advises = "What happened?", "It is so.", "You should rest."
    systems = [Replies("mine", (rests, advises, asks, asks))]
    before = ((), (asks,), (asks,) * 2, (asks,) * 3)
    bench = Bench(
        Subjects("mine", (), FakeFusion()), tmp_path, run=tmp_path, bootstrap=Bootstrap(draws=2)
    )
    tables = {}
    for free in (False, True):
        turns = Turns("t", (asks,) * 4, np.array([0, 0, 0, 0]), before, free=free)
        _, tables[free] = response_tables(bench, turns, systems).tables

    def value(free: bool, name: str, metric: str) -> float:
        (found,) = [row for row in tables[free].rows if row.name == name]
        return found.metrics[metric].value

    # The corpus asks every time; the system itself asks in its last two replies alone.
    assert value(False, "mine", "question runs") == pytest.approx(2 / 3)
    assert value(True, "mine", "question runs") == pytest.approx(1 / 3)
    # Early by the corpus are the first two, of which one advises; by itself the third as well.
    assert value(False, "mine", "premature advice") == pytest.approx(1 / 2)
    assert value(True, "mine", "premature advice") == pytest.approx(1 / 3)
    for metric in ("question runs", "premature advice"):
        own = "the corpus's own"
        assert value(False, own, metric) == value(True, own, metric)
    assert "what it had said itself" in tables[True].note
