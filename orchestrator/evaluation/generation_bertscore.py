"""BERTScore (Zhang et al., 2020), by an encoder that the user has on disk.

Papers take roberta-large, layer 17, without rescaling by a baseline. The library that goes by the
metric's name downloads its encoder and has had no release since 2023; the metric itself is a
greedy match of token embeddings, which is what stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from affectgraph.orchestrator.evaluation.bootstrap import Floats
from affectgraph.perceivers.errors import ExtraMissingError, SetupError

if TYPE_CHECKING:
    from torch import Tensor

VARIABLE: Final = "AFFECTGRAPH_BERTSCORE"
"""Environment variable that names the encoder's folder."""
_LARGE: Final = 24
_LAYER_OF_LARGE: Final = 17
_AT_MOST: Final = 512


def f1(
    folder: Path, references: Sequence[str], candidates: Sequence[str], *, layer: int | None = None
) -> Floats:
    """F1 of each response in percent, shape (n,); 0 for an empty response or reference.

    Args:
        folder: An encoder that transformers loads, such as roberta-large.
        references: What the corpus's supporter said.
        candidates: What the system said.
        layer: Whose output counts; by default 17 of 24, as papers have it, else the last.

    Raises:
        ExtraMissingError: If the extra ``local`` is not installed.
        SetupError: If the folder holds no encoder.
    """
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ExtraMissingError("BERTScore", "local") from error
    if not (folder / "config.json").is_file():
        raise SetupError(f"{folder.name}: no encoder for BERTScore: name a folder that holds one")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    layers = int(encoder.config.num_hidden_layers)
    at = layer if layer is not None else _LAYER_OF_LARGE if layers == _LARGE else layers
    with torch.inference_mode():
        return np.array(
            [
                100 * _match(*(_tokens(encoder, tokenizer, text, at) for text in pair))
                for pair in zip(references, candidates, strict=True)
            ]
        )


def _tokens(encoder: Any, tokenizer: Any, text: str, layer: int) -> Tensor:
    """Unit vectors of a text's tokens, those that frame it left out, shape (t, d)."""
    import torch

    told = tokenizer(
        text.strip(),
        truncation=True,
        max_length=_AT_MOST,
        return_tensors="pt",
        return_special_tokens_mask=True,
    )
    framing = told.pop("special_tokens_mask")[0].bool()
    hidden = encoder(**told, output_hidden_states=True).hidden_states[layer][0]
    return torch.nn.functional.normalize(hidden[~framing], dim=-1)


def _match(reference: Tensor, candidate: Tensor) -> float:
    """Each token with the nearest of the other text; harmonic mean of both directions."""
    if not len(reference) or not len(candidate):
        return 0.0
    near = candidate @ reference.T
    precision = near.max(dim=1).values.mean().item()
    recall = near.max(dim=0).values.mean().item()
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
