"""A checkpoint of the transformers library: where it lies, what it means, how it is run."""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from affectgraph.perceivers.adapters.translation import Labels
from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.labels import LabelSet


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Checkpoint:
    """A model that somebody trained, on this machine; in YAML the folder or the fields.

    Numbers out of their ranges are refused with a ``pydantic.ValidationError``.

    Attributes:
        folder: What ``save_pretrained`` wrote: ``config.json``, ``model.safetensors`` and the
            files of the tokenizer or processor.
        label_set: Set that its labels are told in; by default the declared set that has just its
            labels, else Ekman's seven.
        labels: What single labels of it stand for: a label of the set, shares of several, or
            ``None`` to leave it out.
        multi_label: Whether several of its labels may hold at once (a sigmoid each, not one
            softmax); by default as its ``problem_type`` says.
        temperature: Its logits are divided by it, above 0; fit it on validation data, or the
            confidence is what the model claims.
        device: Where it runs and in which numbers.
        max_batch: Items of concurrent sessions that go through it in one pass, at most.
        max_wait: Seconds that an item waits for others; 0 for none.
    """

    folder: Path
    label_set: LabelSet | None = None
    labels: Labels | None = None
    multi_label: bool | None = None
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    device: Device = CPU
    max_batch: int = Field(default=32, ge=1)
    max_wait: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: object) -> object:
        return {"folder": data} if isinstance(data, str | Path) else data

    @property
    def name(self) -> str:
        """The folder's own name, by which readings and errors call it."""
        return self.folder.name
