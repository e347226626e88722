"""Predictions outlive the run that made them, and only whole ones count."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation.predictions import Chunked

ITEMS = [f"message {number}" for number in range(10)]


class Lengths:
    """Predicts the length of each item; stops at a given call as a killed process would."""

    def __init__(self, stop_at: int = 0) -> None:
        self.seen: list[str] = []
        self._calls, self._stop_at = 0, stop_at

    async def __call__(self, chunk: Sequence[str]) -> dict[str, NDArray[Any]]:
        self._calls += 1
        if self._calls == self._stop_at:
            raise KeyboardInterrupt
        self.seen += chunk
        return {"length": np.array([len(item) for item in chunk]), "name": np.array(list(chunk))}


def files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def chunked(folder: Path, *versions: str, resume: bool = True) -> Chunked:
    return Chunked(folder, "lengths", versions or ("1",), resume=resume, size=4)


async def test_what_was_predicted_is_not_predicted_again(tmp_path: Path) -> None:
    first, again = Lengths(), Lengths()
    told = await chunked(tmp_path).over(ITEMS, first)
    same = await chunked(tmp_path).over(ITEMS, again)
    assert first.seen == ITEMS
    assert again.seen == []
    assert told["length"].tolist() == same["length"].tolist() == [9] * 10
    assert same["name"].tolist() == ITEMS


async def test_a_run_that_was_killed_goes_on(tmp_path: Path) -> None:
    killed, rest = Lengths(stop_at=3), Lengths()
    with pytest.raises(KeyboardInterrupt):
        await chunked(tmp_path).over(ITEMS, killed)
    told = await chunked(tmp_path).over(ITEMS, rest)
    assert killed.seen == ITEMS[:8]
    assert rest.seen == ITEMS[8:]
    assert told["name"].tolist() == ITEMS


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty"])
async def test_a_chunk_that_is_not_whole_is_predicted_again(tmp_path: Path, harm: str) -> None:
    await chunked(tmp_path).over(ITEMS, Lengths())
    file = files(tmp_path)[1]
    content = file.read_bytes()
    middle = content.index(b"length.npy") + 150
    harmed = {
        "cut": content[: len(content) // 2],
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "empty": b"",
    }
    file.write_bytes(harmed[harm])
    again = Lengths()
    told = await chunked(tmp_path).over(ITEMS, again)
    assert again.seen == ITEMS[4:8]
    assert told["name"].tolist() == ITEMS


async def test_no_flipped_bit_stops_a_run(tmp_path: Path) -> None:
    """Some bits of a ZIP archive, flipped, ask for a password or an unknown compression."""
    await chunked(tmp_path).over(ITEMS[:4], Lengths())
    (file,) = files(tmp_path)
    content = file.read_bytes()
    told = set[str]()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with warnings.catch_warnings(action="ignore"):
            found = await chunked(tmp_path).over(ITEMS[:4], Lengths())
        told.add(str(found["name"].tolist()))
        file.write_bytes(content)
    assert told == {str(ITEMS[:4])}


@pytest.mark.parametrize("other", [("2",), ("1", "more")])
async def test_another_version_has_predictions_of_its_own(
    tmp_path: Path, other: tuple[str, ...]
) -> None:
    await chunked(tmp_path).over(ITEMS, Lengths())
    fresh = Lengths()
    await chunked(tmp_path, *other).over(ITEMS, fresh)
    assert fresh.seen == ITEMS


async def test_other_items_have_predictions_of_their_own(tmp_path: Path) -> None:
    await chunked(tmp_path).over(ITEMS, Lengths())
    fresh = Lengths()
    await chunked(tmp_path).over(ITEMS[::-1], fresh)
    assert fresh.seen == ITEMS[::-1]


async def test_fresh_asks_again_and_keeps_the_new_ones(tmp_path: Path) -> None:
    await chunked(tmp_path).over(ITEMS, Lengths())
    fresh = Lengths()
    await chunked(tmp_path, resume=False).over(ITEMS, fresh)
    assert fresh.seen == ITEMS


async def test_nothing_of_an_item_is_written(tmp_path: Path) -> None:
    async def predict(chunk: Sequence[str]) -> dict[str, NDArray[Any]]:
        return {"one": np.ones(len(chunk))}

    await chunked(tmp_path).over(["a secret that nobody may read"], predict)
    written = files(tmp_path)
    assert written
    assert all(b"secret" not in file.read_bytes() for file in written)
    assert all("secret" not in str(file) for file in written)


async def test_progress_is_told_and_no_items_are_no_predictions(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    kept = Chunked(tmp_path, "x", (), report=lambda done, of: told.append((done, of)), size=4)
    assert await kept.over([], Lengths()) == {}
    await kept.over(ITEMS, Lengths())
    assert told == [(0, 0), (0, 10), (4, 10), (8, 10), (10, 10)]
