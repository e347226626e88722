from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from affectgraph.orchestrator.evaluation import (
    Bars,
    Confusion,
    Estimate,
    Figure,
    Result,
    Row,
    Table,
)
from affectgraph.orchestrator.evaluation.command import print_result
from affectgraph.orchestrator.evaluation.metrics import reliability
from affectgraph.orchestrator.evaluation.plots import png
from affectgraph.orchestrator.evaluation.report import Circumstances, write_report
from affectgraph.perceivers.errors import SetupError

LABELS = ("anger", "joy")
FIGURES: list[Figure] = [
    Confusion("Two classes", LABELS, np.array([[5, 1], [0, 0]])),
    reliability("Sure?", np.array([[0.9, 0.1], [0.2, 0.8], [1.0, 0.0]]), np.array([0, 0, 0])),
    Bars("Few", LABELS, {"ours": (0.5, 0.7), "theirs": (0.4, 0.0)}),
    Bars("Many", tuple(f"label {n}" for n in range(28)), {"F1": (0.5,) * 28}),
]
HOW = Circumstances("what it is", "affectgraph eval two --data DIR", {"seed": 0, "numpy": "2.0"})


def result(*figures: Figure) -> Result:
    rows = (
        Row("majority", "baseline", {"accuracy": Estimate(0.5, 0.4, 0.6)}, 1200),
        Row("ours <b>", "ours", {"accuracy": Estimate(0.8, 0.7, 0.9), "ece": Estimate(0.1)}, 1200),
        Row("flat", "baseline", {"accuracy": Estimate(float("nan"))}, 1200),
        Row.published("theirs", "on other rows", accuracy=0.75),
    )
    return Result("two", (Table("A table", rows, "A note."),), figures, {"ms": 1.5, "texts": 1200})


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.title)
def test_every_figure_is_drawn_with_something_in_it(figure: Figure) -> None:
    from PIL import Image

    with Image.open(io.BytesIO(png(figure))) as image:
        pixels = np.asarray(image.convert("L"))
    assert min(pixels.shape) > 300
    # White paper with ink on it, but nothing that runs over the edge.
    assert 0.005 < (pixels < 200).mean() < 0.9
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (edge == 255).all()


def test_a_drawing_is_the_same_every_time() -> None:
    assert png(FIGURES[0]) == png(FIGURES[0])


def test_a_report_needs_no_other_file(tmp_path: Path) -> None:
    file = write_report(result(*FIGURES), HOW, tmp_path / "made" / "here")
    page = file.read_text("utf-8")
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(images) == len(FIGURES)
    written = sorted(each.read_bytes() for each in file.parent.glob("*.png"))
    assert sorted(base64.b64decode(image) for image in images) == written
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_a_report_holds_every_row_and_how_to_get_it_again(tmp_path: Path) -> None:
    page = write_report(result(), HOW, tmp_path).read_text("utf-8")
    for told in ("A table", "A note.", "0.800", "0.700 to 0.900", "0.750", "(published)", "1,200",
                 "on other rows", "affectgraph eval two --data DIR", "95%"):  # fmt: skip
        assert told in page
    assert "Figures" not in page


def test_what_a_name_holds_is_escaped(tmp_path: Path) -> None:
    page = write_report(result(), HOW, tmp_path).read_text("utf-8")
    assert "ours &lt;b&gt;" in page
    assert "ours <b>" not in page


def test_an_undefined_figure_is_a_dash(tmp_path: Path) -> None:
    page = write_report(result(), HOW, tmp_path).read_text("utf-8")
    assert "<td>flat</td><td>-</td>" in page
    assert "nan" not in page.lower()


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="file: the report cannot be written"):
        write_report(result(), HOW, tmp_path / "file")


def test_json_tells_ours_from_the_rest_and_has_no_nan() -> None:
    printed = result().as_json()
    assert set(printed["metrics"]["A table"]) == {"ours <b>"}
    assert set(printed["baselines"]["A table"]) == {"majority", "flat", "theirs"}
    assert printed["metrics"]["A table"]["ours <b>"]["accuracy"] == {
        "value": 0.8,
        "low": 0.7,
        "high": 0.9,
    }
    assert printed["baselines"]["A table"]["flat"]["accuracy"]["value"] is None
    assert printed["baselines"]["A table"]["theirs"]["published"] is True
    assert printed["baselines"]["A table"]["theirs"]["note"] == "on other rows"
    assert "note" not in printed["baselines"]["A table"]["flat"]


def test_the_terminal_shows_what_a_reader_must_know_of_a_row() -> None:
    console = Console(file=io.StringIO(), width=120)
    print_result(result(), console)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "on other rows" in shown
    assert "(published)" in shown
