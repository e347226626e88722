from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from affectgraph.perceivers.errors import ModelCorruptError, SetupError

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("peft")
pytestmark = pytest.mark.local_lm
IDS = [5, 9, 200, 17, 33, 8, 120, 7]


@pytest.fixture(scope="module")
def adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter whose updates matter."""
    from affectgraph.reasoners.training.merge import write_adapter
    from affectgraph.reasoners.training.network import Adapters, Network

    network = Network(tiny_base, adapters=Adapters(rank=4, alpha=8))
    torch.manual_seed(2)
    learned = {name: torch.randn(p.shape) * 0.2 for name, p in network.learning.items()}
    file = tmp_path_factory.mktemp("adapter") / "adapter.safetensors"
    write_adapter(learned, file, rank=4, alpha=8, about={"base": "tiny"})
    return file


def logits(folder: Path) -> object:
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return model(torch.tensor([IDS])).logits[0]


def test_the_merged_model_answers_like_base_and_adapter(
    tiny_base: Path, adapter: Path, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    from affectgraph.reasoners.backends.llama import Llama
    from affectgraph.reasoners.training.merge import merge, write_peft

    merge(tiny_base, adapter, tmp_path / "merged")
    write_peft(adapter, tmp_path / "peft", base="tiny")
    base = LlamaForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        together = PeftModel.from_pretrained(base, tmp_path / "peft").eval()
    with torch.inference_mode():
        expected = together(torch.tensor([IDS])).logits[0]
    found = logits(tmp_path / "merged")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(expected, logits(tiny_base), atol=1e-2)
    # The decoder of the backend in process loads the same folder.
    ours = Llama.load(tmp_path / "merged")
    last = ours.extend(ours.new_cache(), IDS)
    torch.testing.assert_close(last, expected[-1], rtol=1e-4, atol=1e-4)
    assert (tmp_path / "merged" / "tokenizer.json").is_file()


def test_a_pulled_base_is_merged_into_the_models_own_folder(
    tiny_base: Path, adapter: Path, tmp_path: Path
) -> None:
    from affectgraph.reasoners.training.merge import build, merge

    (tmp_path / "adapter.safetensors").write_bytes(adapter.read_bytes())
    build(tmp_path, tiny_base)
    merge(tiny_base, adapter, tmp_path / "again")
    assert (tmp_path / "model.safetensors").read_bytes() == (
        tmp_path / "again" / "model.safetensors"
    ).read_bytes()


def test_a_base_in_shards_gives_the_same_checkpoint(
    tiny_base: Path, sharded_base: Path, adapter: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    from affectgraph.reasoners.training.merge import merge, weight_files

    assert len(weight_files(sharded_base)) == 2
    merge(tiny_base, adapter, tmp_path / "one")
    merge(sharded_base, adapter, tmp_path / "other")
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "other"))
    assert one.keys() == other.keys()
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())


@pytest.mark.parametrize(
    ("index", "told"),
    [
        (None, "neither"),
        ("no JSON", "no index"),
        ("[]", "no index"),
        ('{"weight_map": {}}', "not whole"),
        ('{"weight_map": {"a": "../other/model.safetensors"}}', "no file"),
    ],
)
def test_a_base_without_its_weights_is_told(tmp_path: Path, index: str | None, told: str) -> None:
    from affectgraph.reasoners.training.merge import weight_files

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.safetensors").touch()
    base = tmp_path / "base"
    base.mkdir()
    if index is not None:
        (base / "model.safetensors.index.json").write_text(index)
    with pytest.raises(SetupError, match=told):
        weight_files(base)


def test_a_base_cut_short_is_told(tiny_base: Path, adapter: Path, tmp_path: Path) -> None:
    from affectgraph.reasoners.training.merge import merge

    whole = (tiny_base / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SetupError, match="not whole"):
        merge(tmp_path, adapter, tmp_path / "out")


def test_training_may_begin_with_an_adapter(tiny_base: Path, adapter: Path, tmp_path: Path) -> None:
    from affectgraph.reasoners.training.merge import read_adapter, write_adapter
    from affectgraph.reasoners.training.network import Adapters, Network

    network = Network(tiny_base, adapters=Adapters(rank=4, alpha=8))
    network.begin_with(adapter)
    write_adapter(network.learning, tmp_path / "a", rank=4, alpha=8, about={"base": "tiny"})
    (found, header), (expected, wanted) = read_adapter(tmp_path / "a"), read_adapter(adapter)
    assert header == wanted
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    with pytest.raises(SetupError, match="another rank"):
        Network(tiny_base, adapters=Adapters(rank=4, alpha=16)).begin_with(adapter)


def test_an_adapter_of_another_model_is_refused(
    tiny_base: Path, adapter: Path, tmp_path: Path
) -> None:
    from affectgraph.reasoners.training.merge import merge, read_adapter, write_adapter

    weights, _ = read_adapter(adapter)
    wide = {name: torch.cat([w, w], -1) if "lora_A" in name else w for name, w in weights.items()}
    write_adapter(wide, tmp_path / "wide.safetensors", rank=4, alpha=8, about={})
    with pytest.raises(ModelCorruptError, match="does not fit"):
        merge(tiny_base, tmp_path / "wide.safetensors", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_file_that_is_no_adapter_is_refused(
    tiny_base: Path, tmp_path: Path, content: bytes
) -> None:
    from affectgraph.reasoners.training.merge import merge

    (tmp_path / "broken.safetensors").write_bytes(content)
    with pytest.raises(ModelCorruptError, match="is no adapter"):
        merge(tiny_base, tmp_path / "broken.safetensors", tmp_path / "out")
