"""Whole dialogues as tokens: Y = [H, E, S, SE, R] of SMES, with what each token weighs.

The text is the prompt's own (:meth:`~affectgraph.reasoners.prompts.Prompts.dialogue`), in ChatML
as the backend in process writes it, token for token. Only assistant turns weigh: the labels, the
response, and the token that ends it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from affectgraph.perceivers.errors import SetupError
from affectgraph.reasoners.contracts import Message
from affectgraph.reasoners.prompts import Prompts
from affectgraph.reasoners.training.dialogues import Dialogue

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_START: Final = "<|im_start|>"
_END: Final = "<|im_end|>"
NOT: Final = 0
LABEL: Final = 1
RESPONSE: Final = 2


@dataclass(frozen=True)
class Weights:
    """What a token of each kind weighs in the loss.

    Attributes:
        label: Of the labels and the brackets around them.
        response: Of the response and its end.
    """

    label: float = 0.3
    response: float = 1.0

    def of(self, kind: int) -> float:
        """Weight of a kind of token."""
        return (0.0, self.label, self.response)[kind]


@dataclass(frozen=True)
class TokenSequence:
    """One dialogue as tokens.

    Attributes:
        name: The dialogue's.
        ids: Tokens.
        kinds: Of each token: ``NOT`` counted, ``LABEL`` or ``RESPONSE``.
        left_out: Exchanges at the end that did not fit.
    """

    name: str
    ids: tuple[int, ...]
    kinds: tuple[int, ...]
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class _Told:
    """A message, whether it is learned, and how many of its characters are labels."""

    message: Message
    learned: bool = False
    labelled: int = 0

    def kind(self, start: int) -> int:
        """Kind of a token that begins at a character of the content."""
        if not self.learned or start < 0:
            return NOT
        # The first word's token begins with the space before the word.
        return LABEL if start < self.labelled - 1 else RESPONSE


class Renderer:
    """Turns dialogues into tokens.

    Args:
        prompts: The layout and codec that the reasoner will be asked in.
        tokenizer: Of the model; its vocabulary must have ChatML's tokens.
        longest: Tokens of a dialogue at most; later exchanges are left out whole.

    Raises:
        SetupError: If the vocabulary has no ChatML.
    """

    def __init__(self, prompts: Prompts, tokenizer: Tokenizer, *, longest: int = 1024) -> None:
        self._prompts, self._longest = prompts, longest
        self._tokenizer = tokenizer
        # As in the backend: text that spells a control token stays text.
        self._tokenizer.encode_special_tokens = True
        self._start, self._end = (self._special(token) for token in (_START, _END))
        self._break = tuple(tokenizer.encode("\n").ids)

    def render(self, dialogue: Dialogue) -> TokenSequence:
        """The tokens of a dialogue's beginning, as much as fits, exchange by exchange.

        An exchange that alone is longer than the limit leaves nothing but those before it.
        """
        ids, kinds = list[int](), list[int]()
        for count, part in enumerate(self._parts(dialogue)):
            new_ids, new_kinds = self._tokens(part)
            if len(ids) + len(new_ids) > self._longest:
                left_out = len(dialogue.exchanges) - count
                return TokenSequence(dialogue.name, tuple(ids), tuple(kinds), left_out)
            ids += new_ids
            kinds += new_kinds
        return TokenSequence(dialogue.name, tuple(ids), tuple(kinds))

    def _parts(self, dialogue: Dialogue) -> Iterator[list[_Told]]:
        """The messages that each exchange adds; the system's go with the first."""
        replies = (
            (exchange, learned)
            for exchange, learned in zip(dialogue.exchanges, dialogue.learned, strict=True)
            if self._prompts.printed(exchange)[1]
        )
        part = list[_Told]()
        for message in self._prompts.dialogue(dialogue.exchanges):
            if message.role != "assistant":
                part.append(_Told(message))
                continue
            exchange, learned = next(replies)
            lead = self._prompts.codec.lead(exchange.plan, "response") + " "
            labelled = len(lead) if message.content.startswith(lead) else 0
            yield [*part, _Told(message, learned, labelled)]
            part = []

    def _tokens(self, part: list[_Told]) -> tuple[list[int], list[int]]:
        ids, kinds = list[int](), list[int]()
        for told in part:
            opening = f"{told.message.role}\n"
            encoded = self._tokenizer.encode(opening + told.message.content)
            ids += [self._start, *encoded.ids, self._end, *self._break]
            starts = (start - len(opening) for start, _ in encoded.offsets)
            inner = [told.kind(start) for start in starts]
            kinds += [NOT, *inner, RESPONSE if told.learned else NOT, *(NOT for _ in self._break)]
        return ids, kinds

    def _special(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise SetupError(f"the model's vocabulary has no {token}: ChatML is needed")
        return int(found)
