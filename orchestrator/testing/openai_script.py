"""What the fake OpenAI-compatible server says: after a script, in the form that is asked for."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from affectgraph.orchestrator.testing.openai_requests import RefusedError

_GROUP: Final = re.compile(r"(?<!\\)\(((?:[^()\\]|\\.)*)\)")
_PIECE: Final = re.compile(r" ?[^\s]{1,3}|\s")
_RARE: Final = 1e-4


def tokens_of(text: str) -> list[int]:
    """Cuts text into tokens of up to three characters; each is the same on every server."""
    return [int.from_bytes(b"\1" + piece.encode()) for piece in _PIECE.findall(text)]


def text_of(tokens: Sequence[int]) -> str:
    """The text of tokens that were cut so."""
    return "".join(_piece(token) for token in tokens)


def _piece(token: int) -> str:
    return token.to_bytes((token.bit_length() + 7) // 8)[1:].decode()


@dataclass(frozen=True)
class Script:
    """A model that says what it was told to.

    Attributes:
        says: The response.
        prefers: Labels that are chosen where a constraint offers them; else the first is.
        weights: Probability per label, of which log-probabilities are told.
        free_text: What is said when nothing constrains the output, in place of ``says``.
    """

    says: str
    prefers: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    free_text: str | None = None

    def text(self, body: Mapping[str, Any]) -> str:
        """The answer to a chat request.

        Raises:
            RefusedError: If this fake cannot follow the constraint.
        """
        given = body.get("structured_outputs") or {}
        schema = (body.get("response_format") or {}).get("json_schema")
        if "choice" in given:
            return self._pick(given["choice"])
        if "regex" in given:
            return self._matching(given["regex"])
        if "json" in given:
            return json.dumps(self._instance(given["json"]))
        if schema is not None:
            return json.dumps(self._instance(schema["schema"]))
        if "grammar" in given:
            raise RefusedError("this fake reads no grammars")
        return self.says if self.free_text is None else self.free_text

    def first(self, text: str) -> tuple[str, dict[str, float]]:
        """The first token of an answer, and what could have stood in its place."""
        # A tokenizer would cut labels somewhere; the first three characters stand for its cut.
        weights = self.weights or {text.strip(): 1.0}
        lead = " " if text.startswith(" ") else ""
        tops = {lead + label[:3]: math.log(p) for label, p in weights.items() if p > 0}
        return text[: 3 + len(lead)], tops

    def after(self, prompt: str, tokens: Sequence[str]) -> list[float]:
        """Log-probability of each token after a prompt, as the labels' weights have it.

        A label that the prompt has begun goes on; every other token is rare.
        """
        labels = self.weights or dict.fromkeys(self.prefers, 1.0)
        begun = {f" {label}": p for label, p in labels.items()} | dict(labels)
        rests = [(_rest(prompt, label), p) for label, p in begun.items()]
        return [
            math.log(sum(p for rest, p in rests if rest.startswith(token)) + _RARE)
            for token in tokens
        ]

    def _pick(self, choices: Sequence[str]) -> str:
        wanted = [c for p in self.prefers for c in choices if c.strip() == p]
        return (wanted or list(choices))[0]

    def _matching(self, pattern: str) -> str:
        """A text that the pattern matches: a choice for each group, then the response.

        The response stands where the first class of characters does, what follows the last
        repetition after it; in JSON it is escaped.
        """

        def plain(text: str) -> str:
            return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text)

        def choose(group: re.Match[str]) -> str:
            return self._pick([plain(option) for option in group[1].split("|")])

        head, _, _ = pattern.partition("([^" if "([^" in pattern else "[^")
        tail = pattern[max(pattern.rfind("*"), pattern.rfind("+")) + 1 :]
        says = json.dumps(self.says, ensure_ascii=False)[1:-1] if tail else self.says
        chosen = "\n".join(plain(_GROUP.sub(choose, line)) for line in head.split("\\n"))
        text = chosen + says + plain(tail)
        if not re.fullmatch(pattern, text):
            raise RefusedError("this fake cannot follow the regex")
        return text

    def _instance(self, schema: Mapping[str, Any]) -> dict[str, str]:
        fields: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
        return {
            name: self._pick(field["enum"]) if "enum" in field else self.says
            for name, field in fields.items()
        }


def _rest(prompt: str, label: str) -> str:
    """What is still to come of a label that a prompt may have begun."""
    for length in range(len(label) - 1, 0, -1):
        if prompt.endswith(label[:length]):
            return label[length:]
    return label


def pieces(text: str) -> list[str]:
    """Words with the space before them, as a tokenizer would cut them for a stream."""
    return re.findall(r"\s?[^\s]+|\s", text)
