"""Turns a GGUF checkpoint into safetensors, once, when a model is pulled.

The pinned SmolLM2 is published as 4-bit GGUF. In process it runs from bfloat16 safetensors, which
map into memory in milliseconds; converting at every start would cost twenty seconds.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from affectgraph.perceivers.errors import ExtraMissingError, ModelCorruptError

GGUF = "model.gguf"


def build(folder: Path) -> None:
    """Convert ``folder/model.gguf`` to safetensors (bfloat16) with config and tokenizer.

    Needs about 20 s, 1.4 GB of memory and 270 MB of disk for SmolLM2-135M. The GGUF file is
    deleted afterwards. Running it again on a converted folder does nothing.

    Args:
        folder: The model's folder; ``model.safetensors``, ``config.json``,
            ``generation_config.json``, ``tokenizer.json``, ``tokenizer_config.json`` and
            ``chat_template.jinja`` are written into it.

    Raises:
        ExtraMissingError: If the extra ``local`` is not installed.
        ModelCorruptError: If the checkpoint's chat template is not ChatML, the form in which
            the prompts are written.
    """
    source = folder / GGUF
    if not source.is_file() and (folder / "model.safetensors").is_file():
        return
    if not all(map(importlib.util.find_spec, ("torch", "transformers", "gguf", "accelerate"))):
        raise ExtraMissingError("converting the language model", "local")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF)
    probe = tokenizer.apply_chat_template(
        [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    expected = (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
    )
    if probe != expected:
        raise ModelCorruptError(f"{GGUF}: the chat template is not ChatML")
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=GGUF,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    tokenizer.save_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(folder)
    source.unlink()
