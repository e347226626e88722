"""Reads how loud a message is written, and keeps replies from shouting."""

from affectgraph_capitals.perceiver import Capitals
from affectgraph_capitals.policy import NoShouting

__all__ = ["Capitals", "NoShouting"]
