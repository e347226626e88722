"""``affectgraph eval`` from outside: what it prints, keeps and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Done

from affectgraph.orchestrator.cli.app import app
from affectgraph.orchestrator.evaluation.bootstrap import Bootstrap
from affectgraph.orchestrator.evaluation.compare import compare
from affectgraph.orchestrator.evaluation.subjects import Subjects
from affectgraph.orchestrator.evaluation.tasks import BUILT_IN, targets, task
from affectgraph.perceivers.errors import (
    AffectGraphError,
    BuildError,
    ExtraMissingError,
    InputError,
    SetupError,
)

SPEC = """\
agent: affectgraph/v1
imports: [tests]
perceivers:
  - {reader}
memory: null
"""
READER = "tests.orchestrator.evaluation.evaluation_helpers:WordReader"


def spec(folder: Path, reader: str = READER) -> Path:
    file = folder / "mine.yaml"
    file.write_text(SPEC.format(reader=reader))
    return file


def invoke(*arguments: object) -> Done:
    done = CliRunner().invoke(app, ["eval", *(str(each) for each in arguments)])
    if isinstance(done.exception, AffectGraphError):
        raise done.exception
    return done


@pytest.fixture
def run(tmp_path: Path, tweeteval: Path) -> Callable[..., Done]:
    mine = spec(tmp_path)

    def call(*arguments: object) -> Done:
        return invoke("tweeteval", "--spec", mine, "--data", tweeteval, "--run", tmp_path / "run",
                      "--draws", 20, *arguments)  # fmt: skip

    return call


TRUTH = [0, 1, 2, 3] * 5
TITLE = "TweetEval emotion, test, 4 labels"


def printed(told: list[int], *, rows: bool = True) -> dict[str, Any]:
    """What ``eval tweeteval --json --rows`` prints, in short."""
    right = sum(a == b for a, b in zip(TRUTH, told, strict=True)) / len(TRUTH)
    kept = {"name": TITLE, "metric": "macro_f1", "truth": TRUTH, "told": told, "groups": None}
    return {
        "name": "tweeteval",
        "metrics": {TITLE: {"mine": {"accuracy": {"value": right}, "n": 20}}},
        "baselines": {},
        **({"rows": [kept]} if rows else {}),
    }


@pytest.fixture
def results(tmp_path: Path) -> Callable[[dict[str, Any], object], tuple[Path, Path]]:
    def write(first: dict[str, Any], second: object) -> tuple[Path, Path]:
        a, b = tmp_path / "a.json", tmp_path / "b.json"
        a.write_text(json.dumps(first))
        b.write_text(second if isinstance(second, str) else json.dumps(second))
        return a, b

    return write


Results = Callable[[dict[str, Any], object], tuple[Path, Path]]


def test_a_table_is_printed_beside_its_floors(run: Callable[..., Done]) -> None:
    done = run()
    assert done.exit_code == 0, done.output
    for told in ("majority", "random", "mine, zero-shot", "RoBERTa", "(published)", "Zero-shot"):
        assert told in done.stdout.replace("\n", " ")


def test_json_is_one_object_and_nothing_else(run: Callable[..., Done]) -> None:
    done = run("--json", "--rows")
    told = json.loads(done.stdout)
    assert told["name"] == "tweeteval"
    assert told["metrics"][TITLE]["mine, zero-shot"]["accuracy"]["value"] == 1.0
    assert "majority" in told["baselines"][TITLE]
    assert told["settings"]["spec"] == "mine.yaml"
    assert told["rows"][0]["told"] == told["rows"][0]["truth"] == TRUTH
    assert done.stderr == ""


def test_a_report_is_written_without_any_text_of_the_data(
    run: Callable[..., Done], tmp_path: Path
) -> None:
    run("--report", tmp_path / "report")
    written = [file.read_bytes() for file in (tmp_path / "report").iterdir()]
    assert len(written) == 2
    assert all(b"@user" not in each and b"number 3" not in each for each in written)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "affectgraph eval tweeteval --data DIR --spec mine.yaml --draws 20" in page
    assert str(tmp_path) not in page


def test_two_results_are_compared_row_by_row(results: Results) -> None:
    files = results(printed([0] * 20), printed(TRUTH))
    done = invoke("compare", *files, "--json", "--draws", 100)
    found = {each["metric"]: each for each in json.loads(done.stdout)["differences"]}
    assert found["accuracy"]["gain"]["value"] == pytest.approx(0.75)
    assert 0 < found["accuracy"]["gain"]["low"] < 0.75 < found["accuracy"]["gain"]["high"]
    assert found["macro_f1"]["first"] == pytest.approx(0.1)
    assert "+0.750" in invoke("compare", *files).stdout


def test_results_without_rows_are_compared_without_an_interval(results: Results) -> None:
    files = results(printed([0] * 20, rows=False), printed(TRUTH))
    (found,) = compare(*files, Bootstrap(draws=10))
    assert (found.title, found.metric) == (TITLE, "accuracy")
    assert found.gain.value == pytest.approx(0.75)
    assert found.gain.low is None


def test_an_undefined_figure_is_compared_as_null(results: Results) -> None:
    """Pearson's correlation with a constant; JSON has no NaN."""
    title, truth = "EmoBank, valence, test", [1.0, 2.0, 3.0, 4.0]

    def told(values: list[float], pearson: float | None) -> dict[str, Any]:
        row = {"name": title, "metric": "pearson", "truth": truth, "told": values, "groups": None}
        metrics = {title: {"mine": {"pearson": {"value": pearson}, "n": 4, "note": "a note"}}}
        return {"name": "emobank", "metrics": metrics, "baselines": {}, "rows": [row]}

    files = results(told([3.0] * 4, None), told(truth, 1.0))
    done = invoke("compare", *files, "--json", "--draws", 10)
    (found,) = json.loads(done.stdout)["differences"]
    assert (found["first"], found["second"], found["gain"]["value"]) == (None, 1.0, None)


def changed(how: str) -> object:
    result = printed(TRUTH)
    if how == "another task":
        return {**result, "name": "emobank"}
    if how == "other rows":
        return {**result, "rows": [{**result["rows"][0], "truth": [3] * 20}]}
    if how == "bad rows":
        return {**result, "rows": [{}]}
    return {"no result": [], "no JSON": "{"}[how]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("another task", "compare like with like"),
        ("other rows", "of different rows"),
        ("no result", "not what `affectgraph eval NAME --json` prints"),
        ("no JSON", "not JSON"),
        ("bad rows", "its rows are not what"),
    ],
)
def test_what_cannot_be_compared_is_said(results: Results, how: str, told: str) -> None:
    good, bad = results(printed(TRUTH), changed(how))
    with pytest.raises(InputError, match=told):
        compare(good, bad, Bootstrap(draws=5))
    with pytest.raises(InputError, match="no such file"):
        compare(good, good.with_name("absent.json"), Bootstrap(draws=5))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name an evaluation"),
        (("compare", "one.json"), "takes two JSON files"),
        (("tweeteval", "another"), "takes no further argument"),
    ],
)
def test_wrong_arguments_are_told(arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        invoke(*arguments)


def test_an_unknown_evaluation_is_told_with_its_nearest() -> None:
    with pytest.raises(BuildError, match="no evaluation 'goemotion'; did you mean goemotions"):
        task("goemotion")
    with pytest.raises(BuildError, match="is no task"):
        task("affectgraph.orchestrator.evaluation.bench:default_run")


def test_every_evaluation_is_listed_with_what_it_measures() -> None:
    shown = invoke("--list").stdout
    for name in BUILT_IN:
        assert name in shown
        assert task(name).name == name
        assert len(task(name).about) > 20
    assert "cannot be used" not in shown


def test_an_installed_package_may_offer_one() -> None:
    from importlib.metadata import EntryPoint

    offered = EntryPoint("mine", "my_package:Mine", "affectgraph.evaluations")
    found = targets(lambda group: [offered])
    assert found["mine"] == "my_package:Mine"
    assert found.items() >= BUILT_IN.items()


def test_the_default_agents_parts_are_the_subjects() -> None:
    subjects = Subjects.of()
    assert subjects.name == "default"
    assert [each.modality for each in subjects.perceivers] == ["text", "face", "speech"]
    assert subjects.embedder is not None
    # The text perceiver rests on the shared encoder, which reads valence itself.
    assert subjects.affect_encoder is not None
    assert subjects.version("text") == Subjects.of().version("text")
    assert subjects.version("text") != subjects.version("face")


def test_other_options_are_another_version(tmp_path: Path) -> None:
    plain = Subjects.of(spec(tmp_path))
    other = Subjects.of(spec(tmp_path, f"{{{READER}: {{label_set: ekman-7}}}}"))
    assert plain.name == other.name == "mine"
    assert plain.version("text") != other.version("text")
    with pytest.raises(SetupError, match="no perceiver of face"):
        plain.version("face")


def imported(*modules: str, after: str) -> list[str]:
    """Which modules are loaded in a fresh interpreter once something is imported."""
    program = f"import sys; import {after}\nprint(*[m for m in {modules} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_the_command_loads_no_plots_and_no_learning_until_they_are_needed() -> None:
    heavy = ("sklearn", "matplotlib", "jinja2", "audmetric", "scipy", "torch", "onnxruntime")
    assert imported(*heavy, after="affectgraph.orchestrator.evaluation.command") == []


def test_the_command_line_loads_no_evaluation_until_one_is_asked_for() -> None:
    room = "affectgraph.orchestrator.evaluation"
    assert imported(room, after="affectgraph.orchestrator.cli.app") == []


def test_help_names_the_command() -> None:
    assert "eval" in CliRunner().invoke(app, ["--help"]).stdout


@pytest.mark.parametrize(
    ("absent", "arguments"),
    [
        ("sklearn", ("tweeteval",)),
        ("audmetric", ("compare", "a.json", "b.json")),
        ("matplotlib", ("tweeteval", "--report", "out")),
    ],
)
def test_a_missing_extra_is_named_before_the_work(
    monkeypatch: pytest.MonkeyPatch, absent: str, arguments: tuple[str, ...]
) -> None:
    for module in ("metrics", "report"):
        target = f"affectgraph.orchestrator.evaluation.{module}.find_spec"
        monkeypatch.setattr(target, lambda name: None if name == absent else find_spec(name))
    with pytest.raises(ExtraMissingError, match=r"pip install 'affectgraph\[eval\]'"):
        invoke(*arguments)


def test_errors_are_one_line_and_an_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "affectgraph.orchestrator.cli", "eval", "goemotions",
         "--data", str(tmp_path), "--run", str(tmp_path / "run")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "is not the corpus 'goemotions'" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("affectgraph: ")
    assert "Traceback" not in done.stderr
