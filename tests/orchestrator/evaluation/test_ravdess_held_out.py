"""``eval ravdess`` of the shipped voice: what it trains the folds with, and what it keeps.

The training itself is tested with the trainer; here it is told what to say.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import Bench
from affectgraph.orchestrator.evaluation.tasks import ravdess as task
from affectgraph.orchestrator.testing import FakePerceiver
from affectgraph.perceivers.models import ModelStore, ModelUse
from affectgraph.perceivers.speech.encoder import WhisperEncoder
from affectgraph.perceivers.training import ravdess

VOICE = Path(__file__).parents[3] / "examples" / "voice.flac"


class Voice(FakePerceiver):
    """Stands for the shipped voice, without its models."""

    def __init__(self, encoder: WhisperEncoder | None = None) -> None:
        super().__init__("speech", seconds=0)
        self.encoder = encoder

    @property
    def models(self) -> tuple[ModelUse, ...]:
        return WhisperEncoder().models

    def probabilities(self, samples: list[NDArray[np.float32]]) -> list[NDArray[np.float64]]:
        return [np.full(8, 1 / 8) for _ in samples]


class Trainings:
    """Stands for the trainer: tells each recording's own label, and what it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[dict[str, Any]] = []
        monkeypatch.setattr(task, "VoiceEmotion", Voice)
        monkeypatch.setattr(ravdess, "prepare", self._prepared)
        monkeypatch.setattr(ravdess, "cross_validate", self._judged)

    def _prepared(self, read: Any, encoder: WhisperEncoder, **how: Any) -> tuple[Any, None]:
        self.given.append({"encoder": encoder, **how})
        return read, None

    def _judged(self, voices: Any, trainer: None, say: object) -> SimpleNamespace:
        return SimpleNamespace(probs=np.eye(8)[voices.label] * 0.92 + 0.01)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "ravdess"
    folder.mkdir(parents=True)
    for emotion in range(1, 9):
        for actor in (1, 8):
            shutil.copy(VOICE, folder / f"03-01-{emotion:02d}-01-01-01-{actor:02d}.flac")
    return folder


async def test_folds_are_trained_once_and_kept(
    make_bench: Callable[..., Bench], recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = Trainings(monkeypatch)
    for count in (1, 1):
        result = await task.Ravdess().run(make_bench(Voice()))
        assert len(trainings.given) == count
    (found,) = result.tables
    (ours,) = [row for row in found.rows if row.kind == "ours"]
    assert (ours.n, ours.metrics["accuracy"].value) == (16, 1)
    assert "four folds of six held-out actors" in found.note
    assert float(result.facts["milliseconds_four_seconds_of_voice_least"]) > 0
    # Another sound under the same name is another recording.
    file = recordings / "03-01-01-01-01-01-01.flac"
    file.write_bytes(file.read_bytes() + b"\0")
    await task.Ravdess().run(make_bench(Voice()))
    assert len(trainings.given) == 2


async def test_a_fresh_run_takes_no_layers_of_an_earlier_one(
    make_bench: Callable[..., Bench],
    recordings: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    trainings = Trainings(monkeypatch)
    await task.Ravdess().run(make_bench(Voice()))
    await task.Ravdess().run(make_bench(Voice(), resume=False))
    assert [each["cache"] for each in trainings.given] == [tmp_path / "run" / "ravdess", None]


async def test_the_benchs_own_models_are_read(
    make_bench: Callable[..., Bench],
    recordings: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    stores: list[ModelStore | None] = []

    class Seen(WhisperEncoder):
        def __init__(self, store: ModelStore | None = None) -> None:
            super().__init__(store)
            stores.append(store)

    Trainings(monkeypatch)
    monkeypatch.setattr(task, "WhisperEncoder", Seen)
    store = ModelStore(tmp_path / "models")
    await task.Ravdess().run(make_bench(Voice(), store=store))
    assert stores
    assert all(each is store for each in stores)
