"""Classification checkpoints of the transformers library, as blocking calls on batches."""

from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.adapters.checkpoint import Checkpoint
from affectgraph.perceivers.adapters.translation import Translation, softmax
from affectgraph.perceivers.batching import BatchStats, MicroBatcher
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import ExtraMissingError, NodeError, SetupError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.perceivers.models import ModelUse

Item = TypeVar("Item")
EXTRA: Final = "gpu"


@dataclass(frozen=True, eq=False)
class Loaded:
    """A checkpoint that is ready.

    Attributes:
        model: The library's model, on its device.
        processor: What prepares its input.
        translation: How its labels are told.
        multi_label: Whether several labels may hold at once.
    """

    model: Any
    processor: Any
    translation: Translation
    multi_label: bool


class Classifier(ABC, Generic[Item]):
    """A checkpoint on disk; every method blocks, and only :meth:`read` needs a thread of its own.

    Never from a hub, never with code of its own, and only from safetensors: other formats are
    pickles, which run what they hold.

    Args:
        checkpoint: Where it lies, what its files may not say, and where it runs.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._lock = threading.Lock()
        self._ready: Loaded | None = None

    @property
    def name(self) -> str:
        """The checkpoint's folder."""
        return self.checkpoint.name

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The checkpoint, whose licence its files do not tell."""
        return (ModelUse(self.name),)

    @property
    def label_set(self) -> LabelSet:
        """The set that it reads over; known once it is loaded."""
        return self._loaded().translation.label_set

    @property
    def multi_label(self) -> bool:
        """Whether several labels may hold at once; known once it is loaded."""
        return self._loaded().multi_label

    @property
    def ready(self) -> bool:
        """Whether it is loaded."""
        return self._ready is not None

    def load(self) -> None:
        """Load it; a second call does nothing.

        Raises:
            SetupError: If transformers or torch is not installed, the folder holds no such
                checkpoint or one without a trained head, its labels cannot be told in the set, or
                the device is not there.
        """
        with self._lock:
            if self._ready is None:
                self._ready = self._open()

    def read(self, items: Sequence[Item]) -> list[NDArray[np.float64]]:
        """Read several items in one pass.

        Returns:
            For each item its probabilities over the label set, shape (labels,). Those of a model
            with one label at a time sum to 1, less what was left out.

        Raises:
            NodeError: If the model gives no finite number.
        """
        loaded = self._loaded()
        logits = self._logits(loaded, items)
        if not np.isfinite(logits).all():
            raise NodeError(
                self.name,
                "the model gave numbers that are not finite; in fp16 take bf16 or fp32 instead",
            )
        scaled = logits / self.checkpoint.temperature
        probs = _sigmoid(scaled) if loaded.multi_label else softmax(scaled)
        return list(loaded.translation.apply(probs))

    @abstractmethod
    def _classes(self) -> tuple[Any, Any]:
        """The library's classes for the model and for what prepares its input."""

    @abstractmethod
    def _inputs(self, processor: Any, items: Sequence[Item]) -> Mapping[str, Any]:
        """Tensors for one pass over a batch."""

    def _prepared(self, processor: Any, model: Any) -> Any:
        """Check and set up what prepares the input, once it is loaded."""
        del model
        return processor

    def _logits(self, loaded: Loaded, items: Sequence[Item]) -> NDArray[np.float64]:
        """Shape (items, labels of the model)."""
        import torch

        kind = next(loaded.model.parameters())
        inputs = {
            name: tensor.to(kind.device, kind.dtype if tensor.is_floating_point() else None)
            for name, tensor in self._inputs(loaded.processor, items).items()
        }
        with torch.inference_mode():
            logits = loaded.model(**inputs).logits
        return np.asarray(logits.float().cpu().numpy(), np.float64)

    def _loaded(self) -> Loaded:
        self.load()
        assert self._ready is not None
        return self._ready

    def _open(self) -> Loaded:
        _require("torch", "transformers")
        told = self.checkpoint
        device, dtype = told.device.torch_device(), told.device.torch_dtype()
        if not (told.folder / "config.json").is_file():
            raise SetupError(f"{told.folder} holds no config.json: give a checkpoint's folder")
        from transformers.utils import logging

        logging.disable_progress_bar()
        model_class, processor_class = self._classes()
        try:
            with warnings.catch_warnings():
                # The library deprecates parts of itself as it loads; none of it is the caller's.
                warnings.simplefilter("ignore")
                processor = processor_class.from_pretrained(
                    told.folder, local_files_only=True, trust_remote_code=False
                )
                model, report = model_class.from_pretrained(
                    told.folder,
                    dtype=dtype,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    output_loading_info=True,
                )
        except Exception as error:  # libraries below raise classes of their own
            kind = type(error).__name__
            raise SetupError(
                f"{self.name}: not a checkpoint that {model_class.__name__} opens ({kind}:"
                f" {_first_line(error)})"
            ) from error
        self._check_whole(report)
        model = model.to(device).eval()
        names = [str(model.config.id2label[at]) for at in range(model.config.num_labels)]
        translation = Translation.of(names, told.label_set, told.labels)
        several = told.multi_label
        if several is None:
            several = model.config.problem_type == "multi_label_classification"
        return Loaded(model, self._prepared(processor, model), translation, several)

    def _check_whole(self, report: Mapping[str, Any]) -> None:
        """Refuse a checkpoint with parts missing: the library fills them with random numbers."""
        missing = sorted(report["missing_keys"])
        odd = [str(key) for key in report["mismatched_keys"]]
        if missing or odd:
            raise SetupError(
                f"{self.name}: not trained for this: {len(missing) + len(odd)} of its"
                f" weights are missing or of another shape, such as {(missing + odd)[0]}"
            )


class Shared(Generic[Item]):
    """A classifier that concurrent sessions share: what they ask at the same time is one pass.

    Args:
        classifier: Reads; nothing else calls it.
    """

    def __init__(self, classifier: Classifier[Item]) -> None:
        told = classifier.checkpoint
        self._shared = classifier
        self._batcher: MicroBatcher[Item, NDArray[np.float64]] = MicroBatcher(
            classifier.read, name=told.name, max_batch=told.max_batch, max_wait=told.max_wait
        )
        self._pool = BlockingPool(size=2)

    @property
    def name(self) -> str:
        """The checkpoint's folder."""
        return self._shared.name

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The checkpoint."""
        return self._shared.models

    @property
    def stats(self) -> BatchStats:
        """How full the passes were."""
        return self._batcher.stats

    async def warm_up(self) -> None:
        """Load the checkpoint; a second call does nothing.

        Raises:
            SetupError: If it cannot be used; the message says why.
        """
        if not self._shared.ready:
            await self._pool.run(self._shared.load)

    async def close(self) -> None:
        """Wait for what runs; nothing is read afterwards."""
        await self._batcher.close()


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


def _require(*packages: str) -> None:
    import importlib.util

    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ExtraMissingError(f"a checkpoint of transformers ({package})", EXTRA)


def _first_line(error: Exception) -> str:
    """Of what the library says, which names files and settings and nothing of a person."""
    return str(error).strip().partition("\n")[0][:160]
