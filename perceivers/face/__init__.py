"""Face perception: finding a face and reading its expression."""

from affectgraph.perceivers.face.detected import (
    BatchFaceDetector,
    DetectedFace,
    FaceDetector,
    FaceRefiner,
)
from affectgraph.perceivers.face.detector import MTCNNDetector
from affectgraph.perceivers.face.emotion import FaceEmotion
from affectgraph.perceivers.face.expression import ExpressionHead

__all__ = [
    "BatchFaceDetector",
    "DetectedFace",
    "ExpressionHead",
    "FaceDetector",
    "FaceEmotion",
    "FaceRefiner",
    "MTCNNDetector",
]
