from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from affectgraph.memory.contracts import Embedder
from affectgraph.perceivers.errors import ModelCorruptError, ModelMissingError, SetupError
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.text import MiniLMEncoder, minilm_onnx
from affectgraph.perceivers.text.encoder import Encoding

TEXTS = (
    "I finally slept through the night.",
    "no",
    "They said it would get easier; it has not, not yet, but I am trying, and some days I see it.",
    "",
)


@pytest.fixture
def encoder(requires_model: Callable[[str], Path], model_store: ModelStore) -> MiniLMEncoder:
    requires_model("minilm")
    return MiniLMEncoder(model_store)


class Counted(MiniLMEncoder):
    """An encoder without a model: counts what it is asked, in place of the network."""

    def __init__(self, cache_size: int = 64) -> None:
        super().__init__(cache_size=cache_size)
        self.asked: list[str] = []

    async def warm_up(self) -> None:
        pass

    def _run(self, texts: Sequence[str]) -> list[Encoding]:
        self.asked += texts
        return [
            Encoding(np.full(384, len(t), np.float32), np.zeros((7, 384), np.float32))
            for t in texts
        ]


async def test_a_text_is_encoded_once_for_head_and_memory() -> None:
    encoder = Counted()
    await encoder.encode_all(["hello"])
    vectors = await encoder.embed(["hello", "dear", "hello"])
    assert encoder.asked == ["hello", "dear"]
    assert [v[0] for v in vectors] == [5, 4, 5]


async def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    encoder = Counted(cache_size=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await encoder.encode(text)
    assert encoder.asked == ["a", "b", "c", "b"]


async def test_nothing_is_kept_when_asked_not_to() -> None:
    encoder = Counted()
    await encoder.encode_all(["a"], keep=False)
    await encoder.encode("a")
    assert encoder.asked == ["a", "a"]


async def test_a_large_batch_does_not_outgrow_the_cache() -> None:
    encoder = Counted(cache_size=3)
    assert len(await encoder.embed([str(n) for n in range(10)])) == 10
    await encoder.embed(["7", "8", "9"])
    assert len(encoder.asked) == 10


async def test_no_text_needs_no_model(tmp_path: Path) -> None:
    assert await MiniLMEncoder(ModelStore(tmp_path)).embed([]) == []


async def test_a_missing_model_says_how_to_get_it(tmp_path: Path) -> None:
    encoder = MiniLMEncoder(ModelStore(tmp_path))
    with pytest.raises(ModelMissingError, match="models pull minilm"):
        await encoder.warm_up()
    with pytest.raises(ModelMissingError):
        await encoder.encode("hello")


@pytest.mark.parametrize("numbers", [{"max_tokens": 7}, {"max_tokens": 513}, {"threads": 0}])
def test_numbers_out_of_range_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(SetupError, match="encoder"):
        MiniLMEncoder(**numbers)  # type: ignore[arg-type]


def test_it_is_what_the_memory_wants() -> None:
    assert isinstance(MiniLMEncoder(), Embedder)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    word = {"embeddings.word_embeddings.weight": np.zeros((10, 384), np.float32)}
    save_file(word, tmp_path / "model.safetensors")
    with pytest.raises(ModelCorruptError, match="not the weights"):
        minilm_onnx.build(tmp_path)
    assert not (tmp_path / "encoder.onnx").exists()


@pytest.mark.models
async def test_embeddings_have_unit_length_and_are_read_only(encoder: MiniLMEncoder) -> None:
    await encoder.warm_up()
    await encoder.warm_up()
    for vector in await encoder.embed(TEXTS):
        assert len(vector) == 384
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    kept = await encoder.encode(TEXTS[0])
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 1


@pytest.mark.models
async def test_company_and_padding_change_nothing(encoder: MiniLMEncoder) -> None:
    together = await encoder.encode_all(TEXTS, keep=False)
    for text, encoding in zip(TEXTS, together, strict=True):
        [alone] = await encoder.encode_all([text], keep=False)
        assert np.allclose(alone.embedding, encoding.embedding, atol=1e-5)
        assert np.allclose(alone.layers, encoding.layers, atol=1e-4)
        assert alone.layers.shape == (7, 384)


@pytest.mark.models
async def test_near_in_meaning_is_near_in_space(encoder: MiniLMEncoder) -> None:
    sleep, rest, car = await encoder.embed(
        ["I cannot sleep at night.", "My nights are restless.", "The car needs new tyres."]
    )
    assert np.dot(sleep, rest) > np.dot(sleep, car) + 0.2


@pytest.mark.models
async def test_a_long_text_is_cut_and_its_windows_cover_it(
    encoder: MiniLMEncoder, model_store: ModelStore
) -> None:
    text = "I went out, and then I came home. " * 100
    windows = await encoder.windows(text)
    assert len(windows) > 3
    assert windows[0][0] == 0
    assert windows[-1][1] == len(text)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(windows))
    start, end = windows[0]
    whole, first = await encoder.embed([text, text[start:end]])
    assert np.allclose(whole, first, atol=1e-5)
    short = MiniLMEncoder(model_store, max_tokens=8)
    assert len(await short.windows("one two three four five six seven")) == 2
    assert await short.windows("one") == [(0, 3)]


@pytest.mark.models
@pytest.mark.parametrize("text", ["", "   ", "x" * 20_000, "한국어 " * 90, "\U0001f62d" * 300])
async def test_any_text_is_taken_whole(text: str, encoder: MiniLMEncoder) -> None:
    windows = await encoder.windows(text)
    assert "".join(text[a:b] for a, b in windows) == text
    assert np.isfinite(await encoder.embed([text[a:b] for a, b in windows])).all()


@pytest.mark.models
def test_the_graph_says_what_the_published_network_says(
    requires_model: Callable[[str], Path], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    import onnxruntime
    from safetensors.torch import load_file

    shutil.copy(requires_model("minilm") / "model.safetensors", tmp_path)
    minilm_onnx.build(tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "encoder.onnx"))
    config = transformers.BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    network = transformers.BertModel(config).eval()
    missing = network.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=False)
    assert missing.missing_keys == []

    random = np.random.default_rng(0)
    ids = random.integers(1000, 30_000, (4, 40))
    counts = (np.arange(40) < np.array([[40], [1], [23], [7]])).astype(np.int64)
    embedding, layers = session.run(
        ["embedding", "layers"], {"input_ids": ids, "attention_mask": counts}
    )
    with torch.no_grad():
        states = network(
            torch.tensor(ids), torch.tensor(counts), output_hidden_states=True
        ).hidden_states
    column = torch.tensor(counts)[..., None].float()
    means = torch.stack([(s * column).sum(1) / column.sum(1) for s in states], dim=1)
    assert np.abs(layers - means.numpy()).max() < 1e-4
    unit = torch.nn.functional.normalize(means[:, -1], dim=-1).numpy()
    assert np.abs(embedding - unit).max() < 1e-5
