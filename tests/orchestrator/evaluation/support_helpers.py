"""Small support dialogues of our own in MESC's and ESConv's files, and heads that know them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affectgraph.orchestrator.evaluation.tasks.mesc_units import strategies
from affectgraph.orchestrator.testing import HashEmbedder, ScriptedBackend
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.corpora import esconv, mesc
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.heads.runs import HeadRun
from affectgraph.reasoners.taxonomy import ESCONV_8, MESC_10
from tests.orchestrator.evaluation.evaluation_helpers import write_csv

# Speaker, words, emotion, strategy.
SESSION = (
    ("Client", "My garden flooded again.", "sadness", ""),
    ("Client", "All of it.", "sadness", ""),
    ("Therapist", "All of it at once?", "neutral", "open question"),
    ("Client", "Yes, and nobody came to help.", "anger", ""),
    ("Therapist", "That sounds lonely.", "neutral", "Restatement"),
    ("Therapist", "You did what you could.", "neutral", "Restatement"),
    ("Client", "Maybe I did.", "neutral", ""),
)
OPENED = (
    ("Therapist", "You look tired today.", "neutral", "Interpretation"),
    ("Client", "I slept badly.", "sadness", ""),
    ("Therapist", "What kept you awake?", "neutral", "open question"),
    ("Client", "A letter from my aunt.", "fear", ""),
    ("Therapist", "You could read it to me.", "neutral", "Advisement"),
)
CHAT = (
    ("sys", "Hello, how are you?", "Question"),
    ("usr", "My exam went badly.", ""),
    ("sys", "I am sorry.", "Reflection of feelings"),
    ("sys", "You should rest a little.", "Providing Suggestions"),
    ("usr", "I cannot, it is noisy here.", ""),
    ("sys", "What kind of noise is it?", "Question"),
)


def write_mesc(data: Path) -> Path:
    """Two scenes a split, six in all; the first ends and the second begins unanswered."""
    folder = data / "mesc"
    splits = {"train": [0, 1], "val": [2, 3], "test": [4, 5]}
    scenes = {d: (SESSION, OPENED)[d % 2] for d in range(6)}
    header = ("Utterance", "Speaker", "Emotion", "Strategy", "Dialogue_ID", "Utterance_ID")
    rows = [
        (words, who, emotion, strategy or "undefined", d, u)
        for d, scene in scenes.items()
        for u, (who, words, emotion, strategy) in enumerate(scene)
    ]
    write_csv(folder / "MESC.csv", [header, *rows])
    (folder / "derived_splits_by_Dialogue_ID.json").write_text(json.dumps(splits))
    for split in ("val", "test"):
        told = [
            {
                "problem_type": "Floods",
                "situation": "A wet spring.",
                "dialog": [
                    {
                        "text": words,
                        "speaker": "user" if who == "Client" else "sys",
                        "emotion": emotion,
                        "strategy": strategy,
                    }
                    for who, words, emotion, strategy in scenes[d]
                ],
            }
            for d in splits[split]
        ]
        (folder / f"{split}.json").write_text(json.dumps(told))
    return data


def write_esconv(data: Path) -> Path:
    """Three chats a split."""
    folder = data / "esconv"
    folder.mkdir(parents=True)
    chat = {
        "situation": "An exam.",
        "problem_type": "academic pressure",
        "emotion_type": "anxiety",
        "survey_score": {"seeker": {"initial_emotion_intensity": "4"}},
        "dialog": [
            {"speaker": who, "text": words, "strategy": strategy} for who, words, strategy in CHAT
        ],
    }
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text(f"{json.dumps(chat)}\n" * 3, "utf-8")
    return data


def mesc_heads(data: Path, *, limit: int = 0, seed: int = 0) -> tuple[HeadRun, ...]:
    """Heads that know every label of MESC's test split, in both protocols and units."""
    runs = []
    said = mesc.load(data, "test", limit=limit, seed=seed)
    for unit, sessions in (("turn", said.turns()), ("utterance", said)):
        client, therapist = sessions.of("client"), sessions.of("therapist")
        for protocol in ("gold", "free"):
            runs += [
                _knowing("user_emotion", protocol, unit, mesc.emotions(client), client, MESC_7),
                _knowing("strategy", protocol, unit, strategies(therapist), therapist, MESC_10),
            ]
    return tuple(runs)


def _knowing(
    task: Any, protocol: Any, unit: Any, truth: Any, rows: Sequence[mesc.Utterance], labels: Any
) -> HeadRun:
    probs = np.eye(len(labels))[truth]
    of = np.array([row.dialogue for row in rows], np.int64)
    return HeadRun(
        task, protocol, unit, "heads", "ours", "official", probs, truth, of, (probs, probs)
    )


def esconv_heads(data: Path, *, limit: int = 0, seed: int = 0) -> tuple[HeadRun, ...]:
    """Heads that always say that advice is due."""
    lines = [
        (number, ESCONV_8.labels.index(line.strategy))
        for number, chat in enumerate(esconv.load(data, "test", limit=limit, seed=seed))
        for line in chat.lines
        if line.speaker == "supporter"
    ]
    of, truth = (np.array(column, np.int64) for column in zip(*lines, strict=True))
    probs = np.tile(np.eye(8)[ESCONV_8.labels.index("Providing Suggestions")], (len(lines), 1))
    protocols: tuple[Any, ...] = ("gold", "free")
    return tuple(
        HeadRun("strategy", p, "utterance", "heads", "ours", "official", probs, truth, of)
        for p in protocols
    )


def told_by(heads: Callable[..., tuple[HeadRun, ...]]) -> Callable[[str], Any]:
    """In place of the trainers of heads."""

    async def predictions(
        data: Path, encoder: object, *, limit: int, seed: int, **more: object
    ) -> tuple[HeadRun, ...]:
        return await BlockingPool(size=1).run(lambda: heads(data, limit=limit, seed=seed))

    return lambda corpus: predictions


class FeatureEncoder(HashEmbedder):
    """An encoder that says that it has features; the heads here ask for none."""

    async def encode_all(self, texts: Sequence[str], *, keep: bool = True) -> Sequence[Any]:
        raise AssertionError("nobody trains here")


class ScoringBackend(ScriptedBackend):
    """A scripted backend in the place of a checkpoint's, which scores anger highest."""

    async def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        empty = '""' in prompt
        return [0.0 if empty or label.strip() != "anger" else 2.0 for label in continuations]


def write_checkpoint(folder: Path) -> Path:
    """A Llama that knows nothing: all of its weights are 0, so every token is as likely."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {token: place for place, token in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=2048, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
    model.save_pretrained(folder)
    return folder
