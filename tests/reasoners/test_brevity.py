from __future__ import annotations

from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from affectgraph.reasoners.brevity import Brevity


class Source:
    def __init__(self, pieces: list[str]) -> None:
        self.given, self.closed, self._pieces = 0, False, pieces

    async def stream(self) -> AsyncIterator[str]:
        try:
            for piece in self._pieces:
                self.given += 1
                yield piece
        finally:
            self.closed = True


async def trimmed(brevity: Brevity, pieces: list[str]) -> tuple[str, Source]:
    source = Source(pieces)
    return "".join([piece async for piece in brevity.trim(source.stream())]), source


async def test_sentences_past_the_limit_stop_the_model() -> None:
    text, source = await trimmed(
        Brevity(sentences=2), ["One. ", "Two", "? ", "Three. ", "Four. ", "Five."]
    )
    assert text == "One. Two?"
    assert source.closed
    assert source.given < 6


async def test_an_unended_last_sentence_is_left_out() -> None:
    assert (await trimmed(Brevity(), ["It is hard. ", "You could"]))[0] == "It is hard. "


async def test_something_is_said_even_without_an_end() -> None:
    assert (await trimmed(Brevity(), ["It is", " hard"]))[0] == "It is hard"


async def test_a_line_break_ends_the_response() -> None:
    text, source = await trimmed(Brevity(), ["\nIt is", " hard.\nUser emotion: joy", " more"])
    assert text.strip() == "It is hard."
    assert source.closed


async def test_words_are_counted_by_whole_sentences() -> None:
    text, _ = await trimmed(Brevity(words=5), ["One two three. ", "Four five six. ", "Seven. "])
    assert text == "One two three. "


async def test_abbreviations_and_decimals_end_nothing() -> None:
    text, _ = await trimmed(Brevity(sentences=1), ["Dr. Who slept 7.5 hours, e.g. well. Next. "])
    assert text == "Dr. Who slept 7.5 hours, e.g. well."


@given(st.lists(st.sampled_from(["I ", "see. ", "Why", "? ", "\nNo", "e.g. ", "so ", "!"])))
async def test_the_cut_of_the_pieces_makes_no_difference(pieces: list[str]) -> None:
    whole = "".join(pieces)
    by_letter, _ = await trimmed(Brevity(sentences=2, words=8), list(whole))
    by_piece, _ = await trimmed(Brevity(sentences=2, words=8), pieces)
    assert by_letter == by_piece
    assert by_letter.count(".") + by_letter.count("?") <= whole.count(".") + whole.count("?")
