"""Checkpoints of the usual sizes with random weights: speed does not depend on weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from affectgraph.perceivers.labels import EKMAN_7

WORDS: Final = (
    *("i", "am", "so", "happy", "sad", "tired", "today", "the", "dog", "is", "gone", "and", "it"),
    *("was", "all", "my", "fault", "we", "won", "never", "again", "what", "should", "she", "say"),
    *("when", "nobody", "listens", "or", "calls", "at", "night"),
)
MARKS: Final = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
}


@dataclass(frozen=True)
class Size:
    """How large the models are.

    Attributes:
        layers: Blocks of the transformer.
        width: Channels; the inner layer of a block has four times as many.
        heads: Attention heads.
        side: Pixels of an image's side.
        seconds: Seconds of a sound.
    """

    layers: int
    width: int
    heads: int
    side: int
    seconds: float

    @property
    def patch(self) -> int:
        """Pixels of a patch's side."""
        return 16 if self.side >= 224 else 8


SIZES: Final = {
    "tiny": Size(layers=1, width=32, heads=2, side=32, seconds=0.5),
    "base": Size(layers=12, width=768, heads=12, side=224, seconds=4.0),
}
"""``base`` is the size of BERT-base, ViT-B/16 and wav2vec2-base."""


def text(folder: Path, size: Size) -> Path:
    """A BERT with its tokenizer."""
    if (folder / "config.json").is_file():
        return folder
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: at for at, word in enumerate([*MARKS.values(), *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, MARKS["unk_token"]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **MARKS)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), max_position_embeddings=512, **_common(size)
    )
    return _saved(transformers.BertForSequenceClassification(config), fast, folder)


def image(folder: Path, size: Size) -> Path:
    """A vision transformer with its processor."""
    if (folder / "config.json").is_file():
        return folder
    import transformers

    config = transformers.ViTConfig(image_size=size.side, patch_size=size.patch, **_common(size))
    side = {"height": size.side, "width": size.side}
    processor = transformers.ViTImageProcessor(size=side)
    return _saved(transformers.ViTForImageClassification(config), processor, folder)


def audio(folder: Path, size: Size) -> Path:
    """A wav2vec2 with its feature extractor."""
    if (folder / "config.json").is_file():
        return folder
    import transformers

    config = transformers.Wav2Vec2Config(
        **_common(size),
        num_conv_pos_embeddings=min(128, size.width),
        num_conv_pos_embedding_groups=min(16, size.heads),
        conv_dim=[min(512, size.width)] * 7,
    )
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=False)
    return _saved(transformers.Wav2Vec2ForSequenceClassification(config), extractor, folder)


def _common(size: Size) -> dict[str, Any]:
    return {
        "hidden_size": size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "intermediate_size": 4 * size.width,
        "id2label": dict(enumerate(EKMAN_7.labels)),
        "label2id": {label: at for at, label in enumerate(EKMAN_7.labels)},
    }


def _saved(model: Any, processor: Any, folder: Path) -> Path:
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
