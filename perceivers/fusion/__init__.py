"""Fusion of readings into one affect."""

from affectgraph.perceivers.fusion.late import LateFusion

__all__ = ["LateFusion"]
