"""The trainer of the whole-face head: its damage, and a small run from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectgraph.perceivers.face.quality import ReadableHead
from affectgraph.perceivers.training import ferplus_readable
from affectgraph.perceivers.training.ferplus_spoil import KINDS, spoil


def pictures(count: int = 6) -> NDArray[np.uint8]:
    """Shaded pictures with some detail, none like its mirror image."""
    rows, columns = np.mgrid[:48, :48]
    base = 60 + 2 * rows + 0.7 * columns
    detail = np.random.default_rng(0).normal(0, 12, (count, 48, 48))
    shown: NDArray[np.uint8] = np.clip(base + detail, 0, 255).astype(np.uint8)
    return shown


@given(st.sampled_from(["", *KINDS]), st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_every_picture_is_changed_and_stays_a_picture(kind: str, seed: int) -> None:
    whole = pictures()
    spoilt = spoil(whole, np.random.default_rng(seed), kind)
    assert spoilt.shape == whole.shape
    assert spoilt.dtype == np.uint8
    changed = (spoilt != whole).reshape(len(whole), -1).mean(axis=1)
    assert changed.min() > 0.1


def test_damage_follows_its_dice_and_leaves_the_originals() -> None:
    whole = pictures()
    kept = whole.copy()
    one, same, other = (spoil(whole, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.array_equal(whole, kept)


def test_a_slice_does_not_replace_the_shipped_head(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        ferplus_readable.main(["--data", str(tmp_path), "--limit", "32"])
    assert "--limit needs --out" in capsys.readouterr().err


@pytest.mark.data
# torch's exporter trips over its own deprecations.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_small_run_leaves_a_head_that_prefers_whole_faces(
    data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    ferplus_readable.main(
        ["--data", str(data_root), "--out", str(tmp_path), "--epochs", "2", "--limit", "1600",
         "--json"]
    )  # fmt: skip
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"name", "metrics", "baselines"}
    assert printed == json.loads((tmp_path / "readable.json").read_text(encoding="utf-8"))
    assert set(printed["metrics"]["valid"]["spoilt"]) == set(KINDS)

    from affectgraph.perceivers.corpora.ferplus import load

    valid = load(data_root, "valid", limit=200, seed=1)
    head = ReadableHead(tmp_path / "readable.onnx")
    spoilt = spoil(valid.images, np.random.default_rng(0))
    assert np.median(head.probabilities(valid.images)) > np.median(head.probabilities(spoilt)) + 0.2
