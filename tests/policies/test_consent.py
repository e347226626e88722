from __future__ import annotations

from typing import Literal

import pytest

from affectgraph.perceivers.affect import Modality
from affectgraph.perceivers.turn import Consent
from affectgraph.policies.consent import ConsentPolicy, ConsentRequest, permits
from affectgraph.policies.contracts import Policy

NEEDED = {"face": "camera", "speech": "microphone", "memory": "memory"}


def test_it_is_a_policy() -> None:
    policy: Policy[ConsentRequest] = ConsentPolicy()
    assert isinstance(policy, Policy)


@pytest.mark.parametrize("modality", ["face", "speech", "memory"])
@pytest.mark.parametrize("given", ["camera", "microphone", "memory", None])
def test_only_what_was_agreed_to_is_allowed(
    modality: Modality | Literal["memory"], given: str | None
) -> None:
    consent = Consent() if given is None else Consent.model_validate({given: True})
    verdict = ConsentPolicy().review(ConsentRequest(consent=consent, modality=modality))
    if given == NEEDED[modality]:
        assert verdict.action == "allow"
        assert verdict.reasons == ()
    else:
        assert verdict.action == "block"
        assert verdict.reasons == (f"no-consent-{NEEDED[modality]}",)


def test_typed_words_are_always_read() -> None:
    request = ConsentRequest(consent=Consent(), modality="text")
    assert ConsentPolicy().review(request).action == "allow"


@pytest.mark.parametrize("sense", ["camera", "microphone", "memory"])
def test_permits(sense: Literal["camera", "microphone", "memory"]) -> None:
    assert not permits(Consent(), sense)
    assert permits(Consent.model_validate({sense: True}), sense)
