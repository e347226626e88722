"""The default agent: our perceivers, the Chroma memory, the SMES reasoner, all policies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from affectgraph.memory.chroma import ChromaMemory
from affectgraph.orchestrator.parts import Parts, Safety
from affectgraph.orchestrator.telemetry import captures_content
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.face import FaceEmotion, MTCNNDetector
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.speech import SpeechEmotion
from affectgraph.perceivers.text import MiniLMEncoder, TextEmotion
from affectgraph.policies.crisis import CrisisResponder
from affectgraph.reasoners.backends.local import LocalBackend
from affectgraph.reasoners.backends.openai import OpenAIBackend
from affectgraph.reasoners.backends.traced import TracedBackend
from affectgraph.reasoners.contracts import Backend
from affectgraph.reasoners.joint import SmesJoint
from affectgraph.reasoners.plan import SMES_ORDER, StageName, check_order
from affectgraph.reasoners.stages import SmesStaged

PERCEPTION_MODELS = ("minilm", "mtcnn", "whisper-tiny.en")
LOCAL_MODEL = "smollm2-135m"


@dataclass(frozen=True)
class Settings:
    """What may be chosen of the default agent.

    Attributes:
        store: Where the pulled models lie.
        memory: Folder of the memory; by default ``affectgraph/memory`` under ``$XDG_DATA_HOME``
            or ``~/.local/share``.
        region: Country code for crisis resources; resources for anywhere without it.
        form: ``joint`` for one generation, ``staged`` for four nodes.
        order: Order of the stages, the response last.
        base_url: An OpenAI-compatible server; without it the model runs in process.
        model: Model that the server serves; required with ``base_url``.
    """

    store: ModelStore = field(default_factory=ModelStore)
    memory: Path = field(default_factory=lambda: default_memory())
    region: str = ""
    form: Literal["joint", "staged"] = "joint"
    order: tuple[StageName, ...] = SMES_ORDER
    base_url: str | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        if self.base_url and not self.model:
            raise SetupError("a server needs the name of a model: give --model as well")

    @classmethod
    def of(
        cls,
        *,
        region: str | None = None,
        form: Literal["joint", "staged"] = "joint",
        order: Sequence[str] | None = None,
        base_url: str | None = None,
        model: str | None = None,
        memory: Path | None = None,
    ) -> Settings:
        """Settings from what a person gave; ``None`` means the default.

        Raises:
            BuildError: If the order is not a permutation of the stages.
            SetupError: If a server is named without a model.
        """
        return cls(
            memory=memory or default_memory(),
            region=region or "",
            form=form,
            order=check_order(tuple(order)) if order else SMES_ORDER,
            base_url=base_url,
            model=model,
        )


def default_memory() -> Path:
    """The folder of the memory when none is named."""
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "affectgraph" / "memory"


def needed_models(settings: Settings) -> tuple[str, ...]:
    """Pinned models that the default agent needs on this machine."""
    local = () if settings.base_url else (LOCAL_MODEL,)
    return (*PERCEPTION_MODELS, *local)


def default_parts(settings: Settings) -> Parts:
    """The parts of the default agent; nothing is loaded yet."""
    encoder = MiniLMEncoder(settings.store)
    backend = TracedBackend(_backend(settings), capture_content=captures_content())
    reasoner: SmesJoint | SmesStaged
    if settings.form == "joint":
        reasoner = SmesJoint(backend, order=settings.order)
    else:
        reasoner = SmesStaged.over(backend, order=settings.order)
    return Parts(
        perceivers=(
            TextEmotion(encoder),
            FaceEmotion(detector=MTCNNDetector(settings.store)),
            SpeechEmotion(settings.store),
        ),
        reasoner=reasoner,
        memory=ChromaMemory(settings.memory, encoder),
        safety=Safety(crisis=CrisisResponder(settings.region)),
    )


def _backend(settings: Settings) -> Backend:
    if settings.base_url and settings.model:
        return OpenAIBackend(settings.base_url, settings.model)
    return LocalBackend(settings.store)
