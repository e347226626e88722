"""A Llama of random weights, and a small corpus of our own in ESConv's form."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.taxonomy import ESCONV_8
from affectgraph.reasoners.training.dialogues import Dialogue, planned

TALK = (
    ("My exam is tomorrow and I cannot sleep.", "fear", "Question", "What worries you most?"),
    ("That I forget everything.", "fear", "Reflection of feelings", "You are afraid of a blank."),
    ("Yes, and my parents will be angry.", "sadness", "Others", "That is a lot to carry."),
)


@pytest.fixture
def dialogue() -> Dialogue:
    """Three exchanges, the second of which is not learned."""
    exchanges = tuple(
        Exchange(said=said, replied=replied, plan=planned(felt, strategy, "neutral", ESCONV_8))
        for said, felt, strategy, replied in TALK
    )
    return Dialogue("own/0", exchanges, (True, False, True))


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as a pulled model lies, small enough to train within seconds."""
    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = tmp_path_factory.mktemp("tiny-base")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    told = [text for said, _, _, replied in TALK for text in (said, replied)]
    tokenizer.train_from_iterator([*told, *ESCONV_8.labels], trainer)
    tokenizer.save(str(made / "tokenizer.json"))
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=48,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=4096, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2,
        pad_token_id=2, initializer_range=0.2,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(made)
    return made


@pytest.fixture
def sharded_base(tiny_base: Path, tmp_path: Path) -> Path:
    """The same checkpoint with its weights in two files."""
    from safetensors.torch import load_file, save_file

    made = tmp_path / "sharded-base"
    shutil.copytree(tiny_base, made, ignore=shutil.ignore_patterns("*.safetensors"))
    weights = load_file(tiny_base / "model.safetensors")
    names, shards = sorted(weights), ("model-00001-of-00002", "model-00002-of-00002")
    placed = {name: f"{shards[at % 2]}.safetensors" for at, name in enumerate(names)}
    for shard in set(placed.values()):
        held = {name: weights[name] for name in names if placed[name] == shard}
        save_file(held, made / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": placed}
    (made / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    return made


@pytest.fixture
def esconv_folder(tmp_path: Path) -> Path:
    """A folder of corpora with a small ``esconv`` in it."""
    folder = tmp_path / "data" / "esconv"
    folder.mkdir(parents=True)
    lines = [{"speaker": "sys", "text": "Hello there.", "strategy": "Others"}]
    for said, _, strategy, replied in TALK:
        lines.append({"speaker": "usr", "text": said})
        lines.append({"speaker": "sys", "text": replied, "strategy": strategy})
    lines += [
        {"speaker": "usr", "text": "Have you ever failed one?"},
        {"speaker": "sys", "text": "I failed two of mine.", "strategy": "Self-disclosure"},
        {"speaker": "sys", "text": "It went well later.", "strategy": "Information"},
        {"speaker": "usr", "text": "Thank you."},
    ]
    chat = {
        "situation": "An exam.", "problem_type": "academic pressure", "emotion_type": "anxiety",
        "survey_score": {"seeker": {"initial_emotion_intensity": "4"}}, "dialog": lines,
    }  # fmt: skip
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text(f"{json.dumps(chat)}\n" * 6, "utf-8")
    return folder.parent
