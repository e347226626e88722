"""Threads on disk: checkpoints, the journal of turns in flight, and the types that both may hold.

``MemoryThreads``, ``SqliteThreads`` and ``PostgresThreads`` keep the one contract,
:class:`ThreadStore`. Their databases are imported when they are opened.
"""

from affectgraph.orchestrator.threads.contracts import (
    OpenTurn,
    ThreadStore,
    ThreadStoreError,
    thread_key,
)
from affectgraph.orchestrator.threads.memory import MemoryThreads
from affectgraph.orchestrator.threads.postgres import PostgresThreads
from affectgraph.orchestrator.threads.schema import allowed_types, media_in
from affectgraph.orchestrator.threads.serializer import make_serializer
from affectgraph.orchestrator.threads.sqlite import SqliteThreads

__all__ = [
    "MemoryThreads",
    "OpenTurn",
    "PostgresThreads",
    "SqliteThreads",
    "ThreadStore",
    "ThreadStoreError",
    "allowed_types",
    "make_serializer",
    "media_in",
    "thread_key",
]
