"""The parts under evaluation, and what their predictions depend on."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from affectgraph.memory.contracts import Embedder
from affectgraph.orchestrator.spec import Built, default_spec, load_spec
from affectgraph.orchestrator.spec.document import Plain
from affectgraph.orchestrator.spec.parameters import Parameters, takes
from affectgraph.orchestrator.spec.values import convert
from affectgraph.perceivers.affect import Modality
from affectgraph.perceivers.contracts import Fusion, Perceiver, TextReader
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.models import ModelStore, models_of


@runtime_checkable
class BatchReader(Protocol):
    """What a text perceiver may offer beside ``read``, for many texts at once."""

    async def predict(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities over GoEmotions' 28 labels, shape (n, 28)."""
        ...

    async def vad(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Valence, arousal, dominance in [-1, 1], shape (n, 3)."""
        ...


class Encoded(Protocol):
    """What an encoder for affect says of a text."""

    @property
    def vad(self) -> NDArray[np.float32]:
        """Valence, arousal and dominance on EmoBank's scale, about 1 to 5, shape (3,)."""
        ...


@runtime_checkable
class AffectEncoder(Protocol):
    """An encoder that reads valence, arousal and dominance beside its embedding."""

    async def encode_all(self, texts: Sequence[str], *, keep: bool = True) -> Sequence[Encoded]:
        """Encode texts; ``keep`` is whether they are kept for later calls."""
        ...


@dataclass(frozen=True)
class Subjects:
    """The parts of one agent that an evaluation may ask.

    Attributes:
        name: The spec they come from; ``default`` without one.
        perceivers: At most one a modality.
        fusion: Makes one affect of the readings.
        embedder: Makes a vector of a text; ``None`` if the spec has none.
        options: Modality, or ``encoder``, -> the part's entry in the spec.
    """

    name: str
    perceivers: tuple[Perceiver, ...]
    fusion: Fusion
    embedder: Embedder | None = None
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, spec: Path | None = None, store: ModelStore | None = None) -> Subjects:
        """The parts of a spec, or of the default agent; nothing is loaded yet.

        Raises:
            SpecError: With every fault of the spec.
        """
        read = default_spec() if spec is None else load_spec(spec)
        store = store or ModelStore()
        built = read.build(store=store)
        name = "default" if spec is None else spec.stem
        parts = built.parts
        perceivers = zip(parts.perceivers, read.perceivers, strict=True)
        entries = {"encoder": json.dumps(read.encoder.to_data())}
        for each, entry in perceivers:
            entries[each.modality] = json.dumps(entry.to_data())
        return cls(name, parts.perceivers, parts.fusion, _embedder(built, store), entries)

    def perceiver(self, modality: Modality) -> Perceiver:
        """The perceiver of a modality.

        Raises:
            SetupError: If the spec has none.
        """
        for each in self.perceivers:
            if each.modality == modality:
                return each
        raise SetupError(f"spec {self.name!r} has no perceiver of {modality}: name one to evaluate")

    def version(self, which: Modality | Literal["encoder"]) -> tuple[str, ...]:
        """What the predictions of a perceiver, or of the encoder, depend on. Reads files.

        Raises:
            SetupError: If the spec has no such part.
        """
        part = self.embedder if which == "encoder" else self.perceiver(which)
        # A perceiver may rest on the shared encoder, so its entry counts for each.
        return version(part), self.options.get(which, ""), self.options.get("encoder", "")

    @property
    def affect_encoder(self) -> AffectEncoder | None:
        """The spec's encoder, if its text perceiver rests on it and it reads affect itself."""
        encoder: object = self.embedder
        own = set(models_of(encoder))
        if not own or not own <= set(models_of(self.text)):
            return None
        return encoder if isinstance(encoder, AffectEncoder) else None

    @property
    def text(self) -> TextReader:
        """The text perceiver.

        Raises:
            SetupError: If the spec has none, or it cannot read a text by itself.
        """
        found = self.perceiver("text")
        if not isinstance(found, TextReader):
            raise SetupError(
                f"spec {self.name!r}: {type(found).__name__} has no read(text, captured_at), so its"
                " texts cannot be evaluated"
            )
        return found


def version(part: object) -> str:
    """What a part's predictions depend on: its package's source, its models and shipped weights.

    A change of the weights or the source makes another version, so that no prediction of the
    old one is taken for the new one's.
    """
    kind = type(part)
    digest = hashlib.sha256()
    source = inspect.getsourcefile(kind)
    if source is not None:
        for file in _files(Path(source)):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    names = ", ".join(use.name for use in models_of(part))
    return f"{kind.__module__}.{kind.__qualname__} {names} {digest.hexdigest()[:16]}"


def _files(source: Path) -> list[Path]:
    """The class's file, the files beside it in its package, and the package's weights."""
    folder = source.parent
    if not (folder / "__init__.py").is_file():
        return [source]
    weights = (f for f in (folder / "weights").glob("*") if f.is_file() and f.suffix != ".md")
    return sorted((*folder.glob("*.py"), *weights))


def _embedder(built: Built, store: ModelStore) -> Embedder:
    """Make the spec's shared encoder once more: the parts keep theirs to themselves."""
    part, folder = built.spec.encoder, built.spec.folder
    registry = built.registries["embedder"]
    maker = registry.maker(part.name)
    named = Parameters.of(maker).named
    arguments: dict[str, Any] = {
        key: convert(named[key].annotation, cast("Plain", value), built.environment, folder)
        for key, value in part.options.items()
    }
    for parameter in named.values():
        if parameter.name not in arguments and takes(parameter.annotation, ModelStore):
            arguments[parameter.name] = store
    made: Embedder = registry.check(part.name, maker(**arguments))
    return made
