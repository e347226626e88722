"""The default agent: our perceivers, the Chroma memory, the SMES reasoner, all policies.

What it is made of stands in ``data/default.yaml``; the settings here change single options of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.spec import AgentSpec, Built, PartSpec, default_spec
from affectgraph.orchestrator.spec.environment import literal
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.models import ModelStore
from affectgraph.reasoners.plan import SMES_ORDER, StageName, check_order


@dataclass(frozen=True)
class Settings:
    """What may be chosen of the default agent without a spec.

    Attributes:
        store: Where the pulled models lie.
        memory: Folder of the memory; by default ``affectgraph/memory`` under ``$XDG_DATA_HOME``
            or ``~/.local/share``.
        threads: File that threads are kept in; by default beside that folder.
        region: Country code for crisis resources; resources for anywhere without it.
        form: ``joint`` for one generation, ``staged`` for four nodes.
        order: Order of the stages, the response last.
        base_url: An OpenAI-compatible server; without it the model runs in process.
        model: Model that the server serves; required with ``base_url``.
    """

    store: ModelStore = field(default_factory=ModelStore)
    memory: Path = field(default_factory=lambda: default_memory())
    threads: Path = field(default_factory=lambda: default_threads())
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

        A memory that is named has its threads beside it.

        Raises:
            BuildError: If the order is not a permutation of the stages.
            SetupError: If a server is named without a model.
        """
        return cls(
            memory=memory or default_memory(),
            threads=memory.parent / default_threads().name if memory else default_threads(),
            region=region or "",
            form=form,
            order=check_order(tuple(order)) if order else SMES_ORDER,
            base_url=base_url,
            model=model,
        )


def default_memory() -> Path:
    """The folder of the memory when none is named."""
    return _data_home() / "memory"


def default_threads() -> Path:
    """The file of the threads when none is named."""
    return _data_home() / "threads.sqlite"


def settings_spec(settings: Settings) -> AgentSpec:
    """The default agent's spec with the settings in it."""
    spec = default_spec()
    assert spec.memory is not None
    assert spec.threads is not None
    return replace(
        spec,
        memory=spec.memory.with_options(path=literal(str(settings.memory.absolute()))),
        threads=spec.threads.with_options(path=literal(str(settings.threads.absolute()))),
        responder=spec.responder.with_options(region=literal(settings.region)),
        reasoner=_reasoner(spec.reasoner, settings),
    )


def default_built(settings: Settings) -> Built:
    """The default agent's parts and threads; nothing is loaded yet."""
    return settings_spec(settings).build(store=settings.store)


def default_parts(settings: Settings) -> Parts:
    """The parts of the default agent; nothing is loaded yet."""
    return default_built(settings).parts


def needed_models(settings: Settings | AgentSpec) -> tuple[str, ...]:
    """Pinned models that an agent needs on this machine."""
    built = settings.build() if isinstance(settings, AgentSpec) else default_built(settings)
    return built.needed_models


def _reasoner(default: PartSpec, settings: Settings) -> PartSpec:
    backend = default.options["backend"]
    if settings.base_url and settings.model:
        address = {"base_url": literal(settings.base_url), "model": literal(settings.model)}
        backend = PartSpec("backend", "openai.v1", address)
    return PartSpec(
        "reasoner",
        default.name if settings.form == "joint" else "smes.staged.v1",
        {**default.options, "backend": backend, "order": tuple(settings.order)},
    )


def _data_home() -> Path:
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "affectgraph"
