from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from affectgraph.perceivers.corpora import mesc
from affectgraph.perceivers.corpora.mesc_times import scenes
from affectgraph.perceivers.errors import SetupError

HEAD = "Dialogue_ID,Season,Episode,StartTime,EndTime\n"


def test_a_scene_tells_its_episode_and_when_each_line_is_spoken(tmp_path: Path) -> None:
    rows = '3,1,2,"01:01:02,500","01:01:03,750"\n3,1,2,"01:01:04,000","01:01:05,000"\n'
    (tmp_path / "MESC.csv").write_text(HEAD + rows)
    (scene,) = scenes(tmp_path).values()
    assert scene.place == (1, 2)
    assert scene.spans == ((3662.5, 3663.75), (3664.0, 3665.0))


@pytest.mark.parametrize("row", ['3,1,2,"1:02","01:01:03,750"', "3,one,2,0:0:0,0:0:1", "3,1"])
def test_a_bad_row_is_named(tmp_path: Path, row: str) -> None:
    (tmp_path / "MESC.csv").write_text(f"{HEAD}{row}\n")
    with pytest.raises(SetupError, match=r"MESC\.csv:2: want Dialogue_ID"):
        scenes(tmp_path)


@pytest.mark.data
def test_every_utterance_has_its_time(data_root: Path) -> None:
    if not (data_root / "mesc").is_dir():
        pytest.skip("MESC is absent")
    found = scenes(data_root)
    for split in get_args(mesc.Split):
        counts: dict[int, int] = {}
        for row in mesc.load(data_root, split).rows:
            counts[row.dialogue] = counts.get(row.dialogue, 0) + 1
        assert all(len(found[number].spans) == count for number, count in counts.items())
