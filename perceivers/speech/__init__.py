"""Speech perception: the words of a voice note, and emotion from its sound."""

from affectgraph.perceivers.prosody import Prosody
from affectgraph.perceivers.speech.activity import ActivityDetector, SpeechActivity
from affectgraph.perceivers.speech.emotion import VoiceEmotion, VoiceHead, VoiceReader
from affectgraph.perceivers.speech.encoder import WhisperEncoder
from affectgraph.perceivers.speech.endpointing import Endpointer, EndpointRules
from affectgraph.perceivers.speech.perceiver import SpeechEmotion
from affectgraph.perceivers.speech.pitch import PitchTrack, PitchTracker
from affectgraph.perceivers.speech.prosody import ProsodyMeter
from affectgraph.perceivers.speech.quality import QualityLimits, SignalQuality, assess
from affectgraph.perceivers.speech.streaming import Listening, SpeechStream, Utterance
from affectgraph.perceivers.speech.transcriber import (
    Transcriber,
    Transcript,
    TranscriptSpan,
    WhisperTranscriber,
    WordGuard,
)

__all__ = [
    "ActivityDetector",
    "EndpointRules",
    "Endpointer",
    "Listening",
    "PitchTrack",
    "PitchTracker",
    "Prosody",
    "ProsodyMeter",
    "QualityLimits",
    "SignalQuality",
    "SpeechActivity",
    "SpeechEmotion",
    "SpeechStream",
    "Transcriber",
    "Transcript",
    "TranscriptSpan",
    "Utterance",
    "VoiceEmotion",
    "VoiceHead",
    "VoiceReader",
    "WhisperEncoder",
    "WhisperTranscriber",
    "WordGuard",
    "assess",
]
