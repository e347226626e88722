"""LangGraph's Postgres saver, made to keep every value where the serializer sees it."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from affectgraph.orchestrator.threads.serializer import Sealed


class SealingPostgresSaver(AsyncPostgresSaver):
    """Keeps bare strings and numbers out of the checkpoint's JSON.

    The saver writes them there as they are: past the encryption, and Postgres refuses JSON with a
    zero character in it, which a person's message may hold. Sealed, they go where all other
    values go.
    """

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint."""
        values: dict[str, Any] = {
            channel: Sealed(value) if isinstance(value, str | int | float) else value
            for channel, value in checkpoint["channel_values"].items()
        }
        sealed: Checkpoint = {**checkpoint, "channel_values": values}
        return await super().aput(config, sealed, metadata, new_versions)
