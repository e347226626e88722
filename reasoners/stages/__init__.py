"""The four stages of SMES (Chu et al.): user emotion, strategy, system emotion, response."""

from affectgraph.reasoners.stages.completion import CompletionScore
from affectgraph.reasoners.stages.experts import Expert, Source
from affectgraph.reasoners.stages.labels import (
    SYSTEM_EMOTIONS,
    ExpertStage,
    StrategyStage,
    SystemEmotionStage,
    UserEmotionStage,
    Weighed,
    WeighedStage,
)
from affectgraph.reasoners.stages.response import BackendResponse
from affectgraph.reasoners.stages.staged import (
    SmesStaged,
    close_backend,
    default_stages,
    prompts_for,
    warm_stages,
)

__all__ = [
    "SYSTEM_EMOTIONS",
    "BackendResponse",
    "CompletionScore",
    "Expert",
    "ExpertStage",
    "SmesStaged",
    "Source",
    "StrategyStage",
    "SystemEmotionStage",
    "UserEmotionStage",
    "Weighed",
    "WeighedStage",
    "close_backend",
    "default_stages",
    "prompts_for",
    "warm_stages",
]
