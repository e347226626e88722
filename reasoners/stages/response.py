"""The response stage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.reasoners.brevity import Brevity, close
from affectgraph.reasoners.codecs import Codec
from affectgraph.reasoners.codecs.continued import spoken_by
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import Backend, Sampling
from affectgraph.reasoners.prompts import Prompts
from affectgraph.reasoners.replies.library import WrittenReplies
from affectgraph.reasoners.replies.speaking import Replies, Replying


class BackendResponse:
    """Speaks by the language model, in whole sentences and few of them, and in checked ones.

    Args:
        backend: The language model.
        prompts: Writes the prompt.
        sampling: How words are chosen.
        brevity: How much is said.
        replies: How sentences are checked, and what is said where they fail.

    Raises:
        BuildError: If a check is switched off that does not exist.
    """

    def __init__(
        self,
        backend: Backend,
        prompts: Prompts,
        *,
        sampling: Sampling | None = None,
        brevity: Brevity | None = None,
        replies: Replying | None = None,
    ) -> None:
        self._backend, self._prompts = backend, prompts
        self._sampling = sampling or Sampling()
        small = getattr(backend, "provider", "") == "local"
        self._replies = Replies(replies, brevity=brevity, small=small)

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the backend uses."""
        return models_of(self._backend)

    @property
    def library(self) -> WrittenReplies:
        """The written replies, for whoever must answer when this stage cannot."""
        return self._replies.library

    async def warm_up(self) -> None:
        """Read the library of written replies.

        Raises:
            SetupError: If it cannot be read.
        """
        await self._replies.warm_up()

    def respond(self, context: ReasoningContext) -> AsyncIterator[str]:
        """Stream the response; closing the iterator stops the model."""
        return self.speak(context, lambda: self._said(context, self._sampling))

    def speak(
        self, context: ReasoningContext, first: Callable[[], AsyncIterator[str]]
    ) -> AsyncIterator[str]:
        """The same where another generation, begun by ``first``, makes the first try."""
        return self._replies.speak(
            context, context.plan, first, lambda s: self._said(context, s), self._sampling
        )

    def _said(self, context: ReasoningContext, sampling: Sampling) -> AsyncIterator[str]:
        messages = self._prompts.response(context)
        pieces = self._backend.stream(messages, sampling)
        return _freed(pieces, self._prompts.codec)


async def _freed(pieces: AsyncIterator[str], codec: Codec) -> AsyncIterator[str]:
    """The words of a response that continues a form, without the form's marks and end."""
    try:
        async for words in spoken_by(pieces, codec):
            yield words
    finally:
        await close(pieces)
