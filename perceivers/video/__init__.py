"""Video perception: following one face over the pictures of a video and reading its expression."""

from affectgraph.perceivers.video.emotion import VideoEmotion
from affectgraph.perceivers.video.reader import Unread, VideoConfig, VideoReader
from affectgraph.perceivers.video.track import AffectTrack
from affectgraph.perceivers.video.tracking import FacePath, FaceTracker

__all__ = [
    "AffectTrack",
    "FacePath",
    "FaceTracker",
    "Unread",
    "VideoConfig",
    "VideoEmotion",
    "VideoReader",
]
