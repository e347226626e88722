from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from affectgraph.reasoners.backends.local import LocalBackend
from affectgraph.reasoners.codecs import codec_named
from affectgraph.reasoners.contracts import JointForm, LabelField, Message, Sampling
from affectgraph.reasoners.plan import Decision
from affectgraph.reasoners.taxonomy import ESCONV_8
from affectgraph.reasoners.training import own_dialogues, reasoner

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("peft")
pytestmark = pytest.mark.local_lm


def trained(
    capsys: pytest.CaptureFixture[str], base: Path, data: Path, out: Path, *more: str
) -> dict[str, Any]:
    capsys.readouterr()
    quick = [
        "--length",
        "512",
        "--rows",
        "1",
        "--every",
        "2",
        "--rate",
        "5e-3",
        "--rank",
        "4",
        "--own",
        "0",
    ]
    places = ["--base", str(base), "--data", str(data), "--out", str(out)]
    reasoner.main([*places, *quick, "--threads", "1", "--json", *more])
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_a_run_ends_in_a_checkpoint_that_the_backend_serves(
    capsys: pytest.CaptureFixture[str], tiny_base: Path, esconv_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    part = trained(capsys, tiny_base, esconv_folder, out, "--epochs", "6", "--stop-after", "3")
    assert part["interrupted"]
    assert part["done"] == 3
    done = trained(capsys, tiny_base, esconv_folder, out, "--epochs", "6")
    assert not done["interrupted"]
    assert done["done"] == done["steps"]
    assert done["valid"]["base"] is None  # told by the run that began
    assert "CC BY-NC" in done["terms"]
    for name in ("adapter.safetensors", "merged/model.safetensors", "curves.jsonl"):
        assert (out / name).is_file()


async def test_the_trained_model_decides_and_speaks(
    capsys: pytest.CaptureFixture[str], tiny_base: Path, tmp_path: Path
) -> None:
    import asyncio

    from affectgraph.reasoners.training.merge import write_checkpoint
    from affectgraph.reasoners.training.network import Network

    def write() -> None:
        write_checkpoint(
            Network(tiny_base, method="full").checkpoint(), tiny_base, tmp_path / "full"
        )

    await asyncio.to_thread(write)
    backend = LocalBackend(folder=tmp_path / "full", threads=1)
    form = JointForm(
        fields=(LabelField(stage="strategy", labels=ESCONV_8),), codec=codec_named("smes")
    )
    said = [Message(role="user", content="My exam is tomorrow.")]
    pieces = [p async for p in backend.stream_joint(said, form, Sampling(max_tokens=8))]
    assert isinstance(pieces[0], Decision)
    assert pieces[0].label in ESCONV_8.labels


def test_the_projects_own_dialogues_can_be_added(
    capsys: pytest.CaptureFixture[str], tiny_base: Path, esconv_folder: Path, tmp_path: Path
) -> None:
    few = ["--epochs", "1", "--stop-after", "1"]
    alone = trained(capsys, tiny_base, esconv_folder, tmp_path / "a", *few)
    added = trained(capsys, tiny_base, esconv_folder, tmp_path / "b", *few, "--own", "2")
    more = added["counts"]["train dialogues"] - alone["counts"]["train dialogues"]
    assert more == 2 * len(own_dialogues.load())
    assert added["counts"]["valid dialogues"] == alone["counts"]["valid dialogues"]


def test_the_method_full_needs_no_adapter(
    capsys: pytest.CaptureFixture[str], tiny_base: Path, esconv_folder: Path, tmp_path: Path
) -> None:
    done = trained(capsys, tiny_base, esconv_folder, tmp_path, "--method", "full", "--epochs", "1")
    assert done["valid"]["trained"]["response"] < done["valid"]["base"]["response"]
    assert not (tmp_path / "adapter.safetensors").exists()
    assert (tmp_path / "merged" / "model.safetensors").is_file()


def test_a_corpus_that_is_not_there_is_told(
    capsys: pytest.CaptureFixture[str], tiny_base: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="esconv"):
        trained(capsys, tiny_base, tmp_path, tmp_path / "run")


def test_a_run_is_not_taken_up_with_other_settings(
    capsys: pytest.CaptureFixture[str], tiny_base: Path, esconv_folder: Path, tmp_path: Path
) -> None:
    few = ("--epochs", "6", "--stop-after", "1", "--precision", "float32")
    trained(capsys, tiny_base, esconv_folder, tmp_path / "run", *few)
    for other in (
        ("--alpha", "8"),
        ("--dropout", "0.1"),
        ("--precision", "bfloat16"),
        ("--method", "full"),
    ):
        with pytest.raises(SystemExit, match="other settings"):
            trained(capsys, tiny_base, esconv_folder, tmp_path / "run", *few, *other)


def test_a_run_is_not_taken_up_over_another_base_of_the_same_name(
    capsys: pytest.CaptureFixture[str], tiny_base: Path, esconv_folder: Path, tmp_path: Path
) -> None:
    from affectgraph.reasoners.training.merge import write_checkpoint
    from affectgraph.reasoners.training.network import Network

    few = ("--epochs", "6", "--stop-after", "1")
    for scale, name in ((1.0, "one"), (1.0, "same"), (0.5, "other")):
        weights = Network(tiny_base, method="full").checkpoint()
        scaled = {key: weight * scale for key, weight in weights.items()}
        write_checkpoint(scaled, tiny_base, tmp_path / name / "merged")
    trained(capsys, tmp_path / "one" / "merged", esconv_folder, tmp_path / "run", *few)
    trained(capsys, tmp_path / "same" / "merged", esconv_folder, tmp_path / "run", *few)
    with pytest.raises(SystemExit, match="other settings"):
        trained(capsys, tmp_path / "other" / "merged", esconv_folder, tmp_path / "run", *few)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--length", "100", "--longest", "600"), "does not fit a row"),
        (("--length", "20"), "longer --longest"),
    ],
)
def test_dialogues_that_fit_no_row_are_told_before_the_training(
    capsys: pytest.CaptureFixture[str],
    tiny_base: Path,
    esconv_folder: Path,
    tmp_path: Path,
    wrong: tuple[str, ...],
    told: str,
) -> None:
    with pytest.raises(SystemExit, match=told):
        trained(capsys, tiny_base, esconv_folder, tmp_path / "run", *wrong)
    assert not (tmp_path / "run").exists()


def test_a_base_in_shards_is_merged(
    capsys: pytest.CaptureFixture[str], sharded_base: Path, esconv_folder: Path, tmp_path: Path
) -> None:
    trained(capsys, sharded_base, esconv_folder, tmp_path, "--epochs", "1")
    assert (tmp_path / "merged" / "model.safetensors").is_file()


def test_a_base_that_is_not_whole_is_told_before_the_training(
    capsys: pytest.CaptureFixture[str], sharded_base: Path, esconv_folder: Path, tmp_path: Path
) -> None:
    gone = sorted(sharded_base.glob("model-*.safetensors"))[0]
    gone.unlink()
    with pytest.raises(SystemExit, match=gone.name):
        trained(capsys, sharded_base, esconv_folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.data
@pytest.mark.parametrize("corpus", ["esconv", "mesc"])
def test_a_slice_of_a_corpus_trains(
    capsys: pytest.CaptureFixture[str],
    tiny_base: Path,
    data_root: Path,
    tmp_path: Path,
    corpus: str,
) -> None:
    limit = "8" if corpus == "esconv" else "200"
    done = trained(
        capsys, tiny_base, data_root, tmp_path, "--corpus", corpus, "--limit", limit,
        "--length", "2048", "--epochs", "3",
    )  # fmt: skip
    assert done["valid"]["trained"]["weighted"] < done["valid"]["base"]["weighted"]
