"""The adapter that ships, merged into the real base."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from affectgraph.perceivers.models import MODELS, ModelStore
from affectgraph.perceivers.models.fetch import pull
from affectgraph.reasoners.backends.local import LocalBackend
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import JointForm, LabelField, Sampling
from affectgraph.reasoners.layout import TRAINED
from affectgraph.reasoners.plan import Decision
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.taxonomy import ESCONV_8

torch = pytest.importorskip("torch", reason="the extra `local` is not installed")

NAME = "smollm2-135m-esconv"
WEIGHTS = Path(__file__).parents[3] / "reasoners" / "weights"


def test_the_adapter_is_small_and_says_its_terms() -> None:
    from affectgraph.reasoners.training.merge import read_adapter

    (member,) = MODELS[NAME].members
    file = WEIGHTS.parent / member
    assert file.stat().st_size == MODELS[NAME].size < 20_000_000
    weights, header = read_adapter(file)
    assert header["base"] == MODELS[NAME].base
    assert "non-commercial" in header["terms"]
    assert "CC-BY-NC-4.0" in MODELS[NAME].licence
    assert all(weight.isfinite().all() for weight in weights.values())
    card = file.with_suffix(".md").read_text()
    assert "CC BY-NC 4.0" in card
    assert "non-commercial" in card


def test_the_layout_knows_the_trained_model() -> None:
    assert set(MODELS) >= TRAINED
    layout = PromptLayout.fitting(LocalBackend(model=NAME), strategies="esconv-8")
    assert layout == PromptLayout.trained()


@pytest.mark.models
@pytest.mark.local_lm
def test_the_pulled_model_decides_and_answers(
    requires_model: Callable[[str], Path], tmp_path: Path
) -> None:
    base = requires_model("smollm2-135m")
    store = ModelStore(tmp_path)
    store.folder("smollm2-135m").symlink_to(base)
    folder = asyncio.run(pull(NAME, store))
    assert store.has(NAME)
    assert (folder / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert (folder / "model.safetensors").read_bytes() != (base / "model.safetensors").read_bytes()
    prompts = Prompts(PromptLayout.trained())
    form = JointForm((LabelField(stage="strategy", labels=ESCONV_8),), prompts.codec)
    asked = prompts.base(ReasoningContext(utterance="I start a new school on Monday, help."))

    async def answer() -> list[Decision | str]:
        backend = LocalBackend(store, model=NAME, threads=1)
        return [item async for item in backend.stream_joint(asked, form, Sampling(max_tokens=40))]

    decided, *words = asyncio.run(answer())
    assert isinstance(decided, Decision)
    reply = "".join(word for word in words if isinstance(word, str))
    assert 2 <= len(reply.split()) <= 40
