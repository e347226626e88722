"""Pinned third-party models: one table, one folder, offline after the first use."""

from affectgraph.perceivers.models.store import ModelStore
from affectgraph.perceivers.models.table import MODELS, PinnedModel

__all__ = ["MODELS", "ModelStore", "PinnedModel"]
