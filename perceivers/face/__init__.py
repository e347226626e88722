"""Face perception: finding a face and reading its expression."""

from affectgraph.perceivers.face.detector import DetectedFace, FaceDetector, MTCNNDetector
from affectgraph.perceivers.face.emotion import FaceEmotion
from affectgraph.perceivers.face.expression import ExpressionHead

__all__ = ["DetectedFace", "ExpressionHead", "FaceDetector", "FaceEmotion", "MTCNNDetector"]
