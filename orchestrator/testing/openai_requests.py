"""What the fake OpenAI-compatible server takes, and what it refuses as vLLM would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

KINDS: Final = frozenset({"choice", "regex", "json", "grammar"})
AT_ONCE: Final = 128


class RefusedError(Exception):
    """The request is refused with HTTP 400."""


def check(body: Mapping[str, Any], model: str) -> None:
    """Check a chat request.

    What vLLM would refuse or quietly ignore is refused, so that a test notices.

    Raises:
        RefusedError: If it asks for what vLLM refuses or ignores.
    """
    old = sorted(key for key in body if key.startswith("guided_"))
    if old:
        raise RefusedError(f"{', '.join(old)}: use structured_outputs")
    if body.get("model") != model:
        raise RefusedError("the model is not served")
    given = body.get("structured_outputs") or {}
    kinds = sorted(set(given) & KINDS)
    unknown = sorted(set(given) - KINDS - {"disable_any_whitespace", "whitespace_pattern"})
    if unknown or ("structured_outputs" in body and len(kinds) != 1):
        raise RefusedError(f"structured_outputs takes one kind, got {kinds or unknown}")
    _check_tokens(body, body.get("top_logprobs"))
    if body.get("continue_final_message"):
        if body.get("add_generation_prompt", True):
            raise RefusedError("continue_final_message bars add_generation_prompt")
        if body["messages"][-1]["role"] != "assistant":
            raise RefusedError("the final message is not the assistant's")


def check_completion(body: Mapping[str, Any], model: str) -> None:
    """Check a request for a plain completion; this fake only tells log-probabilities.

    Raises:
        RefusedError: If it asks for anything else.
    """
    if body.get("model") != model:
        raise RefusedError("the model is not served")
    if not body.get("logprob_token_ids") or body.get("max_tokens") != 1:
        raise RefusedError("this fake completes one token, with logprob_token_ids")
    _check_tokens(body, body.get("logprobs"))


def _check_tokens(body: Mapping[str, Any], told: object) -> None:
    tokens = body.get("logprob_token_ids")
    if tokens is None:
        return
    if len(tokens) > AT_ONCE:
        raise RefusedError(f"logprob_token_ids takes {AT_ONCE} tokens at most")
    if told != len(tokens):
        raise RefusedError("the number of logprobs is not that of logprob_token_ids")
