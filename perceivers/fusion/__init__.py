"""Fusion of readings into one affect."""

from affectgraph.perceivers.fusion.late import LateFusion
from affectgraph.perceivers.fusion.pool import Pool

__all__ = ["LateFusion", "Pool"]
