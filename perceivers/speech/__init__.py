"""Speech perception: the words of a voice note, and emotion from its sound."""

from affectgraph.perceivers.speech.activity import ActivityDetector, SpeechActivity
from affectgraph.perceivers.speech.emotion import VoiceEmotion, VoiceHead
from affectgraph.perceivers.speech.encoder import WhisperEncoder
from affectgraph.perceivers.speech.perceiver import SpeechEmotion
from affectgraph.perceivers.speech.transcriber import (
    Transcriber,
    Transcript,
    TranscriptSpan,
    WhisperTranscriber,
    WordGuard,
)

__all__ = [
    "ActivityDetector",
    "SpeechActivity",
    "SpeechEmotion",
    "Transcriber",
    "Transcript",
    "TranscriptSpan",
    "VoiceEmotion",
    "VoiceHead",
    "WhisperEncoder",
    "WhisperTranscriber",
    "WordGuard",
]
