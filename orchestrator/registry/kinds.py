"""The kinds of parts, and the names that the package brings of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from affectgraph.orchestrator.registry.registry import Registry

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints, SelectableGroups


@dataclass(frozen=True)
class Kind:
    """A kind of part.

    Attributes:
        name: As messages name it.
        group: Group of entry points in which an installed package offers parts of the kind.
        contracts: ``module:Class`` of what a part must be; one of them suffices.
        builtin: Name -> ``module:Class`` of what the package brings.
        nests: Whether a constructor's parameter of the contract's type takes such a part.
    """

    name: str
    group: str
    contracts: tuple[str, ...]
    builtin: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    nests: bool = True


_P, _M, _R, _O = (f"affectgraph.{r}" for r in ("perceivers", "memory", "reasoners", "policies"))
_OUTPUT: Final = f"{_O}.output"

KINDS: Final[Mapping[str, Kind]] = MappingProxyType({kind.name: kind for kind in (
    Kind(
        "perceiver", "affectgraph.perceivers", (f"{_P}.contracts:Perceiver",),
        {
            "text.minilm.v1": f"{_P}.text:TextEmotion",
            "text.transformers.v1": f"{_P}.adapters:TransformersText",
            "text.openvocabulary.v1": f"{_R}.openvocabulary:OpenVocabulary",
            "face.ferplus.v1": f"{_P}.face:FaceEmotion",
            "face.transformers.v1": f"{_P}.adapters:TransformersImage",
            "face.deepface.v1": f"{_P}.adapters:DeepFaceEmotion",
            "video.ferplus.v1": f"{_P}.video:VideoEmotion",
            "speech.whisper.v1": f"{_P}.speech:SpeechEmotion",
            "speech.transformers.v1": f"{_P}.adapters:TransformersSpeech",
        },
    ),
    Kind(
        "fusion", "affectgraph.fusions", (f"{_P}.contracts:Fusion",),
        {"late.v1": f"{_P}.fusion:LateFusion"},
    ),
    Kind(
        "embedder", "affectgraph.embedders", (f"{_M}.contracts:Embedder",),
        {"minilm.v1": f"{_P}.text:MiniLMEncoder"},
    ),
    Kind(
        "detector", "affectgraph.detectors", (f"{_P}.face:FaceDetector",),
        {
            "mtcnn.v1": f"{_P}.face:MTCNNDetector",
            "deepface.v1": f"{_P}.adapters:DeepFaceDetector",
        },
    ),
    Kind(
        "transcriber", "affectgraph.transcribers", (f"{_P}.speech.transcriber:Transcriber",),
        {
            "whisper.tiny-en.v1": f"{_P}.speech.transcriber:WhisperTranscriber",
            "whisper.openai.v1": f"{_P}.adapters:OpenAIWhisper",
        },
    ),
    Kind(
        "recall", "affectgraph.recalls", (f"{_M}.recall:RecallStrategy",),
        {
            "meaning.v1": f"{_M}.recall:ByMeaning",
            "emotional.v1": f"{_M}.recall:ByMeaningAndEmotion",
        },
    ),
    Kind(
        "memory", "affectgraph.memories", (f"{_M}.contracts:Memory",),
        {"chroma.v1": f"{_M}.chroma:ChromaMemory"},
    ),
    Kind(
        "backend", "affectgraph.backends", (f"{_R}.contracts:Backend",),
        {
            "local.v1": f"{_R}.backends.local:LocalBackend",
            "openai.v1": f"{_R}.backends.openai:OpenAIBackend",
            "vllm.server.v1": f"{_R}.backends.vllm_server:VllmServer",
            "vllm.engine.v1": f"{_R}.backends.vllm_engine:VllmEngine",
            "langchain.v1": f"{_R}.backends.langchain:LangChainBackend",
        },
    ),
    Kind(
        "head", "affectgraph.heads", (f"{_R}.contracts:LabelHead",),
        {"strategy.esconv.v1": f"{_R}.heads.strategy:StrategyHead"},
    ),
    Kind(
        "stage", "affectgraph.stages",
        (f"{_R}.contracts:LabelStage", f"{_R}.contracts:ResponseStage"),
        {
            "emotion.smes.v1": f"{_R}.stages:UserEmotionStage",
            "strategy.smes.v1": f"{_R}.stages:StrategyStage",
            "tone.smes.v1": f"{_R}.stages:SystemEmotionStage",
            "response.smes.v1": f"{_R}.stages:BackendResponse",
        },
    ),
    Kind(
        "history", "affectgraph.histories", (f"{_R}.history.contracts:HistoryCompressor",),
        {
            "full.v1": f"{_R}.history.full:FullHistory",
            "window.v1": f"{_R}.history.window:WindowHistory",
            "summary.v1": f"{_R}.history.summary:SummaryHistory",
        },
    ),
    Kind(
        "reasoner", "affectgraph.reasoners",
        (f"{_R}.contracts:JointReasoner", f"{_R}.stages:SmesStaged"),
        {
            "smes.joint.v1": "affectgraph.orchestrator.spec.staged:smes_joint",
            "smes.staged.v1": "affectgraph.orchestrator.spec.staged:smes_staged",
        },
    ),
    Kind(
        "consent", "affectgraph.consents", (f"{_O}.contracts:Policy",),
        {"agreed.v1": f"{_O}.consent:ConsentPolicy"}, nests=False,
    ),
    Kind(
        "disclosure", "affectgraph.disclosures", (f"{_O}.contracts:Disclosure",),
        {"ai.v1": f"{_O}.disclosure:DisclosurePolicy"},
    ),
    Kind(
        "triage", "affectgraph.triages", (f"{_O}.contracts:Triage",),
        {"rules.v1": f"{_O}.triage:RiskTriage"},
    ),
    Kind(
        "responder", "affectgraph.responders", (f"{_O}.contracts:Responder",),
        {"resources.v1": f"{_O}.crisis:CrisisResponder"},
    ),
    Kind(
        "output", "affectgraph.outputs", (f"{_O}.contracts:Policy",),
        {
            "phrases.v1": f"{_OUTPUT}:PhrasePolicy",
            "prompt-leak.v1": f"{_OUTPUT}:PromptLeakPolicy",
            "repetition.v1": f"{_OUTPUT}:RepetitionPolicy",
            "echo.v1": f"{_OUTPUT}:EchoPolicy",
            "wording.v1": f"{_OUTPUT}:WordingPolicy",
        },
        nests=False,
    ),
    Kind(
        "threads", "affectgraph.threads", ("affectgraph.orchestrator.threads:ThreadStore",),
        {
            "memory.v1": "affectgraph.orchestrator.threads:MemoryThreads",
            "sqlite.v1": "affectgraph.orchestrator.threads:SqliteThreads",
            "postgres.v1": "affectgraph.orchestrator.threads:PostgresThreads",
        },
        nests=False,
    ),
    Kind(
        "node", "affectgraph.nodes", ("affectgraph.orchestrator.node:Node",), nests=False,
    ),
)})  # fmt: skip
"""Every kind by its name."""


class _Installed:
    """Entry points of what is installed, read once for all kinds, when first asked for."""

    @cached_property
    def _all(self) -> SelectableGroups | EntryPoints:
        return entry_points()

    def group(self, name: str) -> EntryPoints:
        return self._all.select(group=name)


class Registries(Mapping[str, Registry[Any]]):
    """One registry a kind, by the kind's name.

    Args:
        registries: Kind's name -> registry.
    """

    def __init__(self, registries: Mapping[str, Registry[Any]]) -> None:
        self._registries = dict(registries)

    def __getitem__(self, kind: str) -> Registry[Any]:
        return self._registries[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._registries)

    def __len__(self) -> int:
        return len(self._registries)

    def packages(self) -> frozenset[str]:
        """Top packages that offer a part by an entry point."""
        return frozenset[str]().union(*(r.packages() for r in self.values()))


def default_registries() -> Registries:
    """New registries with what the package brings; installed packages add to them when asked."""
    installed = _Installed()
    return Registries(
        {
            kind.name: Registry(
                kind.name,
                kind.builtin,
                contracts=kind.contracts,
                group=kind.group,
                discover=installed.group,
            )
            for kind in KINDS.values()
        }
    )
