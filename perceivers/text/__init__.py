"""Perception of words: the sentence encoder and the emotion head over it."""

from affectgraph.perceivers.text.emotion import TextEmotion
from affectgraph.perceivers.text.encoder import Encoding, MiniLMEncoder

__all__ = ["Encoding", "MiniLMEncoder", "TextEmotion"]
