"""The words of a response that a model writes into a form which was begun for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable

from affectgraph.perceivers.errors import BackendError
from affectgraph.reasoners.codecs.contracts import Codec
from affectgraph.reasoners.plan import Plan


class ContinuedResponse:
    """Reads a response that continues a form, without the form's marks and end.

    Nothing masks the words of a model that goes on with a form, so what the form cannot hold (a
    raw line break within JSON) ends the response as the form's own end does; words before it are
    kept. A model that begins with such has said nothing, as one that ends at once has. White space
    before the first word counts for nothing.

    Args:
        codec: The form.
    """

    def __init__(self, codec: Codec) -> None:
        # No error of the parser's leaves this class, so the name in them matters to nobody.
        self._parser = codec.parser(codec.name, ())
        self._parser.feed(codec.lead(Plan(), "response"))
        self._opened = False

    @property
    def ended(self) -> bool:
        """Whether the response is over."""
        return self._parser.done or self._parser.broken

    def feed(self, piece: str) -> str:
        """Take a piece of what the model says; give the words in it."""
        if self.ended:
            return ""
        if not self._opened:
            piece = piece.lstrip()
            self._opened = bool(piece)
        try:
            found = self._parser.feed(piece)
        except BackendError:
            return ""
        return "".join(item for item in found if isinstance(item, str))


def spoken(pieces: Iterable[str], codec: Codec) -> Generator[str, None, None]:
    """The words of a response that continues a form, until that ends."""
    response = ContinuedResponse(codec)
    for piece in pieces:
        words = response.feed(piece)
        if words:
            yield words
        if response.ended:
            return


async def spoken_by(pieces: AsyncIterator[str], codec: Codec) -> AsyncGenerator[str, None]:
    """The same of words that are waited for; whoever made the pieces closes them."""
    response = ContinuedResponse(codec)
    async for piece in pieces:
        words = response.feed(piece)
        if words:
            yield words
        if response.ended:
            return
