from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.speech import VoiceHead, WhisperEncoder
from affectgraph.perceivers.speech.encoder import FEATURES
from affectgraph.perceivers.training.ravdess import main, train
from affectgraph.perceivers.training.ravdess_data import degrade, fold_of, recordings


def names(folder: Path) -> Path:
    for actor in range(1, 25):
        for emotion in range(1, 9):
            for take in (1, 2):
                (folder / f"03-01-{emotion:02d}-01-01-{take:02d}-{actor:02d}.flac").touch()
    return folder


def test_folds_hold_out_six_actors_of_both_sexes() -> None:
    actors = np.arange(1, 25)
    folds = fold_of(actors)
    assert Counter(folds.tolist()) == dict.fromkeys(range(4), 6)
    for fold in range(4):
        assert (actors[folds == fold] % 2).sum() == 3


def test_a_limit_draws_evenly_and_by_the_seed(tmp_path: Path) -> None:
    folder = names(tmp_path)
    assert len(recordings(folder)) == 384
    few = recordings(folder, limit=64, seed=3)
    assert few == recordings(folder, limit=64, seed=3) != recordings(folder, limit=64, seed=4)
    cells = Counter(
        (file.stem.split("-")[2], (int(file.stem.split("-")[6]) - 1) // 6) for file in few
    )
    assert len(cells) == 32
    assert set(cells.values()) == {2}


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no RAVDESS recordings"):
        recordings(tmp_path)


def test_a_degraded_copy_is_another_sound_and_stays_in_range() -> None:
    samples = np.sin(np.arange(16_000) / 20).astype(np.float32)
    copies = [degrade(samples, np.random.default_rng(seed)) for seed in range(8)]
    for copy in copies:
        assert copy.dtype == np.float32
        assert 0.9 <= len(copy) / len(samples) <= 1.12
        assert 0 < np.abs(copy).max() <= 1.0
    assert len({copy.tobytes() for copy in copies}) == 8


@pytest.mark.models
@pytest.mark.data
def test_end_to_end_on_a_small_slice(
    requires_model: Callable[[str], Path],
    model_store: ModelStore,
    data_root: Path,
    tmp_path: Path,
) -> None:
    requires_model("whisper-tiny.en")
    encoder = WhisperEncoder(model_store)
    result = train(data_root, tmp_path, limit=64, encoder=encoder)
    assert result["name"] == "ravdess"
    assert result["metrics"]["recordings"] == 64
    # Twice what chance gives, from a handful of recordings an emotion.
    assert result["metrics"]["accuracy"] > 2 * result["baselines"]["random"]
    head = VoiceHead.load(tmp_path / "ravdess.npz")
    assert head.weight.shape == (FEATURES, 8)
    # The features are kept: a second run encodes nothing and gives the same.
    again = train(data_root, tmp_path, limit=64, encoder=WhisperEncoder(ModelStore(tmp_path)))
    assert again == result


@pytest.mark.models
@pytest.mark.data
def test_the_command_prints_one_json(
    requires_model: Callable[[str], Path],
    data_root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    requires_model("whisper-tiny.en")
    main(["--data", str(data_root / "ravdess"), "--limit", "32", "--json"])
    out, err = capsys.readouterr()
    assert set(json.loads(out)) == {"name", "metrics", "baselines"}
    assert err == ""
