"""Small checkpoints made on the spot, in the libraries' own formats; their weights are random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Path]

EKMAN = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
WORDS = (
    *("i", "am", "so", "happy", "sad", "today", ".", "!", "the", "dog", "is", "gone", "and", "it"),
    *("was", "all", "my", "fault", "?", "we", "won", "never", "again"),
)


def named(labels: Sequence[str]) -> dict[str, Any]:
    """What a configuration says of labels."""
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: at for at, label in enumerate(labels)},
    }


def save(model: Any, processor: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
    return folder


def make_text(
    folder: Path, labels: Sequence[str] = EKMAN, kind: str = "classify", **config: Any
) -> Path:
    """A BERT of one layer and 64 places; of kind ``bytes`` with a tokenizer in plain Python."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: at for at, word in enumerate([*marks, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]",
    )  # fmt: skip
    if kind == "bytes":
        # As all of its kind it does not tell where its tokens stand.
        fast = transformers.ByT5Tokenizer()
        assert not fast.is_fast
    torch.manual_seed(7)
    made = transformers.BertConfig(
        vocab_size=len(fast), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, **named(labels), **config,
    )  # fmt: skip
    classes = {
        "classify": transformers.BertForSequenceClassification,
        "bytes": transformers.BertForSequenceClassification,
        "headless": transformers.BertModel,
    }
    model = classes[kind](made)
    if kind != "headless":
        # Wider than as it is begun, so that words make a difference.
        torch.nn.init.normal_(model.classifier.weight, std=1.0)
        torch.nn.init.normal_(model.bert.embeddings.word_embeddings.weight, std=1.0)
    return save(model, fast, folder)


@pytest.fixture
def text_checkpoint(tmp_path: Path) -> Make:
    """Makes text classifiers in a folder of the test's own."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

    def make(
        labels: Sequence[str] = EKMAN, name: str = "words", kind: str = "classify", **config: Any
    ) -> Path:
        return make_text(tmp_path / name, labels, kind, **config)

    return make


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text classifier that the tests of a module share."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return make_text(tmp_path_factory.mktemp("shared") / "words")


@pytest.fixture
def image_checkpoint(tmp_path: Path) -> Make:
    """A vision transformer of one layer for 32 pixels a side."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    def make(labels: Sequence[str] = EKMAN, name: str = "faces") -> Path:
        torch.manual_seed(7)
        model = transformers.ViTForImageClassification(
            transformers.ViTConfig(
                hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
                image_size=32, patch_size=8, **named(labels),
            )
        )  # fmt: skip
        torch.nn.init.normal_(model.classifier.weight, std=1.0)
        processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
        return save(model, processor, tmp_path / name)

    return make


@pytest.fixture
def audio_checkpoint(tmp_path: Path) -> Make:
    """A classifier of sounds of one layer, of several families."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    def make(
        family: str = "wav2vec2",
        labels: Sequence[str] = ("neu", "hap", "ang", "sad"),
        *,
        masked: bool = False,
        rate: int = 16_000,
    ) -> Path:
        torch.manual_seed(7)
        small = {
            "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 64, "conv_dim": (16, 16), "conv_kernel": (10, 8),
            "conv_stride": (5, 4), "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 16,
            "feat_extract_norm": "layer" if masked else "group", **named(labels),
        }  # fmt: skip
        raw = transformers.Wav2Vec2FeatureExtractor(
            sampling_rate=rate, return_attention_mask=masked
        )
        if family == "wav2vec2":
            model = transformers.Wav2Vec2ForSequenceClassification(
                transformers.Wav2Vec2Config(**small)
            )
        elif family == "hubert":
            model = transformers.HubertForSequenceClassification(transformers.HubertConfig(**small))
        else:
            raw = transformers.WhisperFeatureExtractor(sampling_rate=rate)
            config = transformers.WhisperConfig(
                d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=64,
                pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
                classifier_proj_size=16, **named(labels),
            )  # fmt: skip
            model = transformers.WhisperForAudioClassification(config)
        torch.nn.init.normal_(model.classifier.weight, std=1.0)
        return save(model, raw, tmp_path / family)

    return make
