"""Perplexity of the corpus's own replies under a checkpoint, gold history, teacher forcing.

Tokens of a reply alone count (and the token that ends it): not the labels, nor the prompt. What a
perplexity says depends on the tokens, so rows of models with other vocabularies, papers' included,
are no comparison.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from affectgraph.orchestrator.evaluation.bootstrap import Floats, Statistic
from affectgraph.perceivers.errors import ExtraMissingError, SetupError
from affectgraph.reasoners.plan import LabelStageName, Plan
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.training.dialogues import Dialogue
from affectgraph.reasoners.training.sequences import RESPONSE, Renderer, TokenSequence

if TYPE_CHECKING:
    from torch import Tensor

_LONGEST: Final = 4096


def perplexity(losses: Floats) -> Statistic:
    """Exponential of the mean loss of a token; rows of :func:`losses`, drawn as whole dialogues."""
    return Statistic(losses, lambda sums: np.exp(sums[:, 0] / sums[:, 1]))


def losses(
    folder: Path,
    dialogues: Sequence[Dialogue],
    layout: PromptLayout,
    *,
    without: Sequence[LabelStageName] = (),
) -> Floats:
    """Sum of the losses of each dialogue's replies and how many tokens they have, shape (n, 2).

    Args:
        folder: A checkpoint that transformers loads, with ``tokenizer.json`` and ChatML.
        dialogues: With the corpus's labels; every reply counts, whatever it was learned for.
        layout: In which the model is asked.
        without: Labels that are left out of the prompts.

    Raises:
        ExtraMissingError: If the extra ``local`` is not installed.
        SetupError: If the folder holds no such checkpoint.
    """
    try:
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise ExtraMissingError("the perplexity of replies", "local") from error
    if not (folder / "tokenizer.json").is_file():
        raise SetupError(f"{folder.name}: no checkpoint with a tokenizer.json to evaluate")
    longest = min(_LONGEST, _positions(folder))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    renderer = Renderer(Prompts(layout), tokenizer, longest=longest)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return np.array(
            [_losses(model, renderer.render(_all(dialogue, without))) for dialogue in dialogues]
        )


def _losses(model: Any, sequence: TokenSequence) -> tuple[float, float]:
    import torch

    counted = torch.tensor([kind == RESPONSE for kind in sequence.kinds])[1:]
    if not counted.any():
        return 0.0, 0.0
    ids = torch.tensor(sequence.ids)
    logits: Tensor = model(ids[None]).logits[0, :-1]
    loss = torch.nn.functional.cross_entropy(
        logits[counted].float(), ids[1:][counted], reduction="sum"
    )
    return loss.item(), counted.sum().item()


def _all(dialogue: Dialogue, without: Sequence[LabelStageName]) -> Dialogue:
    """Every reply counted, with some labels left out."""
    exchanges = tuple(
        each.model_copy(update={"plan": _less(each.plan, without)}) for each in dialogue.exchanges
    )
    return Dialogue(dialogue.name, exchanges, tuple(bool(e.replied) for e in exchanges))


def _less(plan: Plan, without: Sequence[LabelStageName]) -> Plan:
    return plan.model_copy(update=dict.fromkeys(without))


def _positions(folder: Path) -> int:
    try:
        told = json.loads((folder / "config.json").read_text("utf-8"))
        return int(told.get("max_position_embeddings", _LONGEST))
    except (OSError, ValueError, AttributeError):
        raise SetupError(f"{folder.name}: no checkpoint with a config.json to evaluate") from None
