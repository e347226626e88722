"""A low-rank adapter as one file, and the plain checkpoint that base and adapter make together.

The file is safetensors with the names that PEFT gives, and its rank and scale in the header. It
is merged when a model is pulled, which needs torch and safetensors alone; imports torch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from affectgraph.perceivers.errors import ModelCorruptError, SetupError

PREFIX: Final = "base_model.model."
ADAPTER: Final = "adapter.safetensors"
WEIGHTS: Final = "model.safetensors"
INDEX: Final = f"{WEIGHTS}.index.json"
_A: Final = ".lora_A.weight"
_B: Final = ".lora_B.weight"
_BESIDE: Final = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "chat_template.jinja", "LICENSE",
)  # fmt: skip


def write_adapter(
    learned: Mapping[str, Tensor], file: Path, *, rank: int, alpha: int, about: Mapping[str, str]
) -> None:
    """Write an adapter in half precision.

    Args:
        learned: Weights by PEFT's names, with or without its adapter name ``default``.
        file: Where to.
        rank: Of the updates.
        alpha: Updates are scaled by ``alpha / rank``.
        about: For the header: base, licence, data.
    """
    weights = {
        name.replace(".default.", "."): weight.detach().to("cpu", torch.float16).contiguous()
        for name, weight in learned.items()
    }
    header = {**about, "rank": str(rank), "alpha": str(alpha), "format": "pt"}
    save_file(weights, file, metadata=header)


def read_adapter(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """An adapter's weights and its header.

    Raises:
        ModelCorruptError: If it is no adapter.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            header = dict(opened.metadata() or {})
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ModelCorruptError(f"{file.name} is no adapter: {error}") from None
    if not header.get("rank", "").isdigit() or not header.get("alpha", "").isdigit():
        raise ModelCorruptError(f"{file.name} is no adapter: its header names no rank and alpha")
    return weights, header


def merged(base: Mapping[str, Tensor], adapter: Path) -> dict[str, Tensor]:
    """The base's weights with the adapter's updates added: W + alpha / rank * B A.

    Products and sums are made in float32 and rounded once, to the base's type.

    Raises:
        ModelCorruptError: If the adapter fits no weight of the base.
    """
    weights, header = read_adapter(adapter)
    scale = int(header["alpha"]) / int(header["rank"])
    result = dict(base)
    names = [name.removesuffix(_A) for name in weights if name.endswith(_A)]
    if not names or len(weights) != 2 * len(names):
        raise ModelCorruptError(f"{adapter.name} is no adapter: it holds no pairs of A and B")
    for name in names:
        target = name.removeprefix(PREFIX) + ".weight"
        down, up = weights[name + _A].float(), weights[name + _B].float()
        if target not in base or base[target].shape != (up.shape[0], down.shape[1]):
            raise ModelCorruptError(f"{adapter.name} does not fit this model: {target}")
        whole = base[target].float() + scale * (up @ down)
        result[target] = whole.to(base[target].dtype)
    return result


def build(folder: Path, base: Path) -> None:
    """Merge ``folder/adapter.safetensors`` into a pulled base, when the model is pulled.

    Needs about 1 GB of memory for SmolLM2-135M. The adapter stays beside the merged weights.

    Args:
        folder: The model's folder; the checkpoint is written into it.
        base: The base's folder.

    Raises:
        ModelCorruptError: If the adapter does not fit the base.
    """
    merge(base, folder / ADAPTER, folder)


def merge(base: Path, adapter: Path, out: Path) -> None:
    """Make a plain checkpoint of a base and an adapter, which every server of Llamas serves.

    Args:
        base: Folder of the base: weights, config, tokenizer.
        adapter: The adapter's file.
        out: Folder for the merged checkpoint.

    Raises:
        SetupError: If the base is not whole.
        ModelCorruptError: If the adapter does not fit it.
    """
    weights: dict[str, Tensor] = {}
    for file in weight_files(base):
        try:
            with safe_open(file, framework="pt") as opened:
                weights |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise SetupError(f"the base in {base.name} is not whole: {error}") from None
    write_checkpoint(merged(weights, adapter), base, out)


def weight_files(base: Path) -> tuple[Path, ...]:
    """The files that hold a checkpoint's weights: one, or the shards that its index names.

    Raises:
        SetupError: If there are none, or not all.
    """
    if (base / WEIGHTS).is_file():
        return (base / WEIGHTS,)
    try:
        told = json.loads((base / INDEX).read_text("utf-8"))
        names = sorted(set(told["weight_map"].values()))
    except FileNotFoundError:
        raise SetupError(f"the base in {base.name} has neither {WEIGHTS} nor {INDEX}") from None
    except (ValueError, KeyError, AttributeError, TypeError):
        raise SetupError(f"the base in {base.name} is not whole: {INDEX} is no index") from None
    absent = [name for name in names if Path(name).name != name or not (base / name).is_file()]
    if absent or not names:
        raise SetupError(f"the base in {base.name} is not whole: no file {', '.join(absent)}")
    return tuple(base / name for name in names)


def write_checkpoint(weights: Mapping[str, Tensor], base: Path, out: Path) -> None:
    """Write weights with the config and the tokenizer of a base."""
    out.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: weight.contiguous() for name, weight in weights.items()},
        out / WEIGHTS,
        metadata={"format": "pt"},
    )
    for name in _BESIDE:
        if (base / name).is_file():
            shutil.copyfile(base / name, out / name)


def write_peft(adapter: Path, out: Path, *, base: str) -> None:
    """Write an adapter as the folder that PEFT reads, and vLLM serves by name.

    Args:
        adapter: The adapter's file.
        out: The folder.
        base: Name of the base, for the config.
    """
    weights, header = read_adapter(adapter)
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / "adapter_model.safetensors", metadata={"format": "pt"})
    layers = {name.split(".")[-3] for name in weights}
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": int(header["rank"]),
        "lora_alpha": int(header["alpha"]),
        "lora_dropout": 0.0,
        "target_modules": sorted(layers),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
    (out / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
