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
from affectgraph.perceivers.text import MiniLMEncoder, OriginalMiniLM, minilm_onnx
from affectgraph.perceivers.text.encoder import TOKENIZER, WEIGHTS, Encoding

TEXTS = (
    "I finally slept through the night.",
    "no",
    "They said it would get easier; it has not, not yet, but I am trying, and some days I see it.",
    "",
)


@pytest.fixture(scope="module")
def encoder() -> MiniLMEncoder:
    return MiniLMEncoder()


class Counted(MiniLMEncoder):
    """An encoder without a model: counts what it is asked, in place of the network."""

    def __init__(self, cache_size: int = 64) -> None:
        super().__init__(cache_size=cache_size)
        self.asked: list[str] = []

    async def warm_up(self) -> None:
        pass

    def _run(self, texts: Sequence[str]) -> list[Encoding]:
        self.asked += texts
        some = np.zeros(28, np.float32)
        return [Encoding(np.full(384, len(t), np.float32), some, some, some[:3]) for t in texts]


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
    assert await MiniLMEncoder(weights=tmp_path / "absent.onnx").embed([]) == []


async def test_weights_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    shutil.copy(WEIGHTS.parent / TOKENIZER, tmp_path)
    with pytest.raises(SetupError, match=r"absent\.onnx is absent"):
        await MiniLMEncoder(weights=tmp_path / "absent.onnx").encode("hello")
    (tmp_path / "cut.onnx").write_bytes(WEIGHTS.read_bytes()[:4096])
    with pytest.raises(SetupError, match=r"cut\.onnx: not a graph"):
        await MiniLMEncoder(weights=tmp_path / "cut.onnx").warm_up()


@pytest.mark.models
async def test_a_graph_without_heads_is_refused(
    requires_model: Callable[[str], Path], tmp_path: Path
) -> None:
    original = requires_model("minilm")
    with pytest.raises(ModelCorruptError, match="not an encoder for affect"):
        await MiniLMEncoder(weights=original / "encoder.onnx").warm_up()


async def test_a_missing_original_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="models pull minilm"):
        await OriginalMiniLM(ModelStore(tmp_path)).warm_up()


@pytest.mark.parametrize("numbers", [{"max_tokens": 7}, {"max_tokens": 513}, {"cache_size": -1}])
def test_numbers_out_of_range_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(SetupError, match="encoder"):
        MiniLMEncoder(**numbers)  # type: ignore[arg-type]


def test_it_is_what_the_memory_wants() -> None:
    assert isinstance(MiniLMEncoder(), Embedder)
    assert isinstance(OriginalMiniLM(), Embedder)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    word = {"embeddings.word_embeddings.weight": np.zeros((10, 384), np.float32)}
    save_file(word, tmp_path / "model.safetensors")
    with pytest.raises(ModelCorruptError, match="not the weights"):
        minilm_onnx.build(tmp_path)
    assert not (tmp_path / "encoder.onnx").exists()


async def test_encodings_have_their_shapes_and_ranges(encoder: MiniLMEncoder) -> None:
    for encoding in await encoder.encode_all(TEXTS):
        assert encoding.features.shape == (768,)
        assert encoding.probs.shape == (28,)
        assert encoding.probs.sum() == pytest.approx(1, abs=1e-5)
        # EmoBank's scale is 1 to 5, and its raters stay near the middle.
        assert ((encoding.vad > 1) & (encoding.vad < 5)).all()


async def test_embeddings_have_unit_length_and_are_read_only(encoder: MiniLMEncoder) -> None:
    await encoder.warm_up()
    await encoder.warm_up()
    for vector in await encoder.embed(TEXTS):
        assert len(vector) == 384
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    kept = await encoder.encode(TEXTS[0])
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 1


async def test_company_and_padding_change_nothing(encoder: MiniLMEncoder) -> None:
    together = await encoder.encode_all(TEXTS, keep=False)
    for text, encoding in zip(TEXTS, together, strict=True):
        [alone] = await encoder.encode_all([text], keep=False)
        for name in Encoding.__dataclass_fields__:
            assert np.array_equal(getattr(alone, name), getattr(encoding, name)), name


async def test_near_in_meaning_is_near_in_space(encoder: MiniLMEncoder) -> None:
    sleep, rest, car = await encoder.embed(
        ["I cannot sleep at night.", "My nights are restless.", "The car needs new tyres."]
    )
    assert np.dot(sleep, rest) > np.dot(sleep, car) + 0.2


async def test_a_long_text_is_cut_and_its_windows_cover_it(encoder: MiniLMEncoder) -> None:
    text = "I went out, and then I came home. " * 100
    windows = await encoder.windows(text)
    assert len(windows) > 3
    assert windows[0][0] == 0
    assert windows[-1][1] == len(text)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(windows))
    start, end = windows[0]
    whole, first = await encoder.embed([text, text[start:end]])
    assert np.allclose(whole, first, atol=1e-5)
    short = MiniLMEncoder(max_tokens=8)
    assert len(await short.windows("one two three four five six seven")) == 2
    assert await short.windows("one") == [(0, 3)]


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
    feed = {"input_ids": ids, "attention_mask": counts}
    (embedding,) = session.run(["embedding"], feed)
    with torch.no_grad():
        state = network(torch.tensor(ids), torch.tensor(counts)).last_hidden_state
    column = torch.tensor(counts)[..., None].float()
    unit = torch.nn.functional.normalize((state * column).sum(1) / column.sum(1), dim=-1)
    assert np.abs(embedding - unit.numpy()).max() < 1e-5


def test_the_shipped_weights_are_small_and_have_a_card() -> None:
    assert WEIGHTS.stat().st_size < 25_000_000
    assert WEIGHTS.with_suffix(".md").is_file()
