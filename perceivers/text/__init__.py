"""Perception of words: one encoder for affect and meaning, and the perceiver over it."""

from affectgraph.perceivers.text.emotion import TextEmotion
from affectgraph.perceivers.text.encoder import Encoding, MiniLMEncoder
from affectgraph.perceivers.text.original import OriginalMiniLM
from affectgraph.perceivers.text.scale import VADScale

__all__ = ["Encoding", "MiniLMEncoder", "OriginalMiniLM", "TextEmotion", "VADScale"]
