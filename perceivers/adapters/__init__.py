"""Models of other people's libraries as perceivers: transformers, openai-whisper, DeepFace.

None of them is needed by the default agent, and none of the libraries is imported before a part
that uses it is warmed up. Checkpoints are files on this machine: nothing here downloads.
"""

from affectgraph.perceivers.adapters.audio import TransformersAudio
from affectgraph.perceivers.adapters.checkpoint import Checkpoint
from affectgraph.perceivers.adapters.deep_face import DeepFaceDetector, DeepFaceEmotion
from affectgraph.perceivers.adapters.faces import Search
from affectgraph.perceivers.adapters.image import TransformersImage
from affectgraph.perceivers.adapters.openai_whisper import OpenAIWhisper
from affectgraph.perceivers.adapters.speech import TransformersSpeech
from affectgraph.perceivers.adapters.text import TransformersText

__all__ = [
    "Checkpoint",
    "DeepFaceDetector",
    "DeepFaceEmotion",
    "OpenAIWhisper",
    "Search",
    "TransformersAudio",
    "TransformersImage",
    "TransformersSpeech",
    "TransformersText",
]
