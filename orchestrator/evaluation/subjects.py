"""The parts under evaluation, and what their predictions depend on."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from affectgraph import perceivers as _perceivers
from affectgraph import reasoners as _reasoners
from affectgraph.memory.contracts import Embedder
from affectgraph.orchestrator.spec import Built, default_spec, load_spec
from affectgraph.orchestrator.spec.document import Plain
from affectgraph.orchestrator.spec.environment import Environment
from affectgraph.orchestrator.spec.parameters import Parameters, takes
from affectgraph.orchestrator.spec.values import convert
from affectgraph.perceivers.affect import Modality
from affectgraph.perceivers.contracts import Fusion, Perceiver, TextReader
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.models import ModelStore, models_of
from affectgraph.reasoners.contracts import JointReasoner
from affectgraph.reasoners.stages import SmesStaged

_ASIDE: Final = ("corpora", "training")
"""Rooms of the perceivers that no prediction depends on."""


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
        options: Modality, ``encoder`` or ``reasoner`` -> the part's entry in the spec.
        files: Modality, ``encoder`` or ``reasoner`` -> files and folders that its entry names.
        reasoner: Decides and speaks; ``None`` if there is none to evaluate.
    """

    name: str
    perceivers: tuple[Perceiver, ...]
    fusion: Fusion
    embedder: Embedder | None = None
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=lambda: MappingProxyType({}))
    reasoner: SmesStaged | JointReasoner | None = None

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
        entries: dict[str, Any] = {
            "encoder": read.encoder.to_data(), "reasoner": read.reasoner.to_data(),
        }  # fmt: skip
        for each, entry in perceivers:
            entries[each.modality] = entry.to_data()
        return cls(
            name,
            parts.perceivers,
            parts.fusion,
            _embedder(built, store),
            {of: json.dumps(entry) for of, entry in entries.items()},
            {
                of: tuple(_named(entry, built.environment, read.folder))
                for of, entry in entries.items()
            },
            parts.reasoner,
        )

    def perceiver(self, modality: Modality) -> Perceiver:
        """The perceiver of a modality.

        Raises:
            SetupError: If the spec has none.
        """
        for each in self.perceivers:
            if each.modality == modality:
                return each
        raise SetupError(f"spec {self.name!r} has no perceiver of {modality}: name one to evaluate")

    def version(self, which: Modality | Literal["encoder", "reasoner"]) -> tuple[str, ...]:
        """What the predictions of a perceiver, the encoder or the reasoner depend on. Reads files.

        Raises:
            SetupError: If the spec has no such part.
        """
        part: object = (
            self.embedder
            if which == "encoder"
            else self.reasoner
            if which == "reasoner"
            else self.perceiver(which)
        )
        if part is None:
            raise SetupError(f"spec {self.name!r} has no {which}: name one to evaluate")
        # A perceiver may rest on the shared encoder, so its entry counts for each.
        entries = [
            f"{self.options.get(of, '')} {digest(self.files.get(of, ()))}"
            for of in (which, "encoder")
        ]
        own = (reasoner_version(), _reasoner_weights()) if which == "reasoner" else ()
        return version(part), *entries, *own

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
    """What a part's predictions depend on: source, shipped weights and models.

    A change of the weights or the source makes another version, so that no prediction of the
    old one is taken for the new one's.
    """
    kind = type(part)
    names = ", ".join(use.name for use in models_of(part))
    return f"{kind.__module__}.{kind.__qualname__} {names} {digest(sources(part))[:16]}"


def reasoner_version() -> str:
    """What any reasoner's words depend on besides its model: its whole room, trainers aside."""
    room = Path(_reasoners.__file__).resolve().parent
    files = (*room.rglob("*.py"), *room.rglob("data/*"))
    return digest([file for file in sorted(files) if file.relative_to(room).parts[0] not in _ASIDE])


def _reasoner_weights() -> str:
    """What the reasoners' shipped heads and adapters hold; their cards say nothing."""
    room = Path(_reasoners.__file__).resolve().parent
    return digest([file for file in sorted(room.rglob("weights/*")) if file.suffix != ".md"])


def sources(part: object) -> tuple[Path, ...]:
    """Files that may change what a part says: source and weights.

    They are those of the package that the part stands in and those of all perceivers, since one
    rests on others that need not stand beside it. Corpora and trainers say nothing.
    """
    room = Path(_perceivers.__file__).resolve().parent
    shared = (
        file
        for file in (*room.rglob("*.py"), *room.rglob("weights/*"))
        if file.relative_to(room).parts[0] not in _ASIDE
    )
    source = inspect.getsourcefile(type(part))
    own = () if source is None else _package(Path(source).resolve())
    told = {file for file in (*own, *shared) if file.is_file() and file.suffix != ".md"}
    return tuple(sorted(told))


def _package(source: Path) -> tuple[Path, ...]:
    """The class's file, the files beside it in its package, and the package's weights."""
    folder = source.parent
    if not (folder / "__init__.py").is_file():
        return (source,)
    return *folder.glob("*.py"), *folder.glob("weights/*")


def _named(entry: Plain, environment: Environment, folder: Path) -> Iterator[Path]:
    """Files and folders that an entry names, such as a checkpoint or weights."""
    if isinstance(entry, Mapping):
        for each in entry.values():
            yield from _named(each, environment, folder)
    elif isinstance(entry, list | tuple):
        for each in entry:
            yield from _named(each, environment, folder)
    elif isinstance(entry, str) and entry:
        path = folder / Path(environment.fill(entry)).expanduser()
        try:
            if path.exists():
                yield path
        except (OSError, ValueError):
            return  # words that no file can be called by


def digest(paths: Sequence[Path]) -> str:
    """Names and content of files, and of all files in folders; where they lie does not count."""
    told = hashlib.sha256()
    for path in paths:
        files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]
        for file in files:
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
            name = file.relative_to(path) if file != path else Path(file.name)
            told.update(hashlib.sha256(name.as_posix().encode()).digest() + content)
    return told.hexdigest()


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
