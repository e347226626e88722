"""What was, and how it felt."""

from affectgraph.memory.chroma import ChromaMemory
from affectgraph.memory.contracts import Embedder, Memory
from affectgraph.memory.recall import ByMeaning, ByMeaningAndEmotion
from affectgraph.memory.record import Cue, MemoryRecord, Recollection, record_id

__all__ = [
    "ByMeaning",
    "ByMeaningAndEmotion",
    "ChromaMemory",
    "Cue",
    "Embedder",
    "Memory",
    "MemoryRecord",
    "Recollection",
    "record_id",
]
