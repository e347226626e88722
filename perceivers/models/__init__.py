"""Pinned third-party models: one table, one folder, offline after the first use."""

from affectgraph.perceivers.models.store import ModelStore
from affectgraph.perceivers.models.table import MODELS, PinnedModel
from affectgraph.perceivers.models.use import ModelUse, models_of

__all__ = ["MODELS", "ModelStore", "ModelUse", "PinnedModel", "models_of"]
