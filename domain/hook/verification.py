"""Whether a webhook is its sender's: pure functions over the raw bytes, one answer for whatever comes.

The vendors' own verifiers raise on hostile headers; here anything that is not a clear yes is a Refused, never an
exception.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from domain.hook.credentials import check_address, check_basic, check_bearer, check_gitlab_token, check_header_token
from domain.hook.delivery import delivery_id
from domain.hook.presets import (
    Basic,
    Bearer,
    GitLab,
    HeaderToken,
    Hmac,
    IpAllow,
    Preset,
    Slack,
    StandardWebhooks,
    Stripe,
    Twilio,
    Unknown,
    Unverified,
)
from domain.hook.signatures import (
    SCHEMES,
    Keys,
    check_hmac,
    check_standard_webhooks,
    check_stripe,
    check_twilio,
)
from domain.hook.signed_request import Refusal, RefusalCode, SignedRequest
from domain.values.json import MalformedJson, parse

MAX_CHALLENGE = 1_000
"""Characters of a challenge that is echoed."""

_Check: TypeAlias = Callable[[Any, SignedRequest, Keys, datetime], str | None]


class Verified(msgspec.Struct, frozen=True):
    """The request is authentic. `delivery_id` is the same on every repeat of it, None where the sender gives none.

    A `challenge` is to be sent back as the answer; no run starts.
    """

    delivery_id: str | None = None
    challenge: str | None = None


class Refused(msgspec.Struct, frozen=True):
    """The request is refused. `reason` is for the owner of the zap, and names no secret."""

    code: RefusalCode
    reason: str


def needs_secret(preset: Preset) -> bool:
    """Whether a zap with this preset has to have a secret."""
    return not isinstance(preset, Unverified | IpAllow)


def verify(
    preset: Preset | Unknown, request: SignedRequest, secrets: Sequence[bytes | str], now: datetime
) -> Verified | Refused:
    """Check a request with any of the live secrets, each as its vendor shows it (text, or its UTF-8). Never raises."""
    check = _CHECKS.get(type(preset))
    if check is None or isinstance(preset, Unknown):
        return Refused("unknown_preset", "the zap's verification is not one that is known")
    try:
        # An empty key would verify what anybody can sign.
        keys = [secret.encode() if isinstance(secret, str) else secret for secret in secrets if secret]
        if needs_secret(preset) and not keys:
            return Refused("no_secret", "the zap has no secret to verify with")
        signed_id = check(preset, request, keys, now)
        return Verified(delivery_id(preset, request, signed_id), _challenge(preset, request.body))
    except Refusal as refusal:
        return Refused(refusal.code, refusal.reason)
    except Exception as error:  # noqa: BLE001 - what is not understood is not authentic
        return Refused("unverifiable", f"the request can not be verified ({type(error).__name__})")


def _challenge(preset: Preset, body: bytes) -> str | None:
    """Slack asks a new address to echo a challenge: https://docs.slack.dev/reference/events/url_verification"""
    if not isinstance(preset, Slack) or b"url_verification" not in body:
        return None
    try:
        message = parse(body)
    except MalformedJson:
        return None
    match message:
        case {"type": "url_verification", "challenge": str(challenge)} if len(challenge) <= MAX_CHALLENGE:
            return challenge
    return None


def _gitlab(preset: GitLab, request: SignedRequest, keys: Keys, now: datetime) -> str | None:
    if preset.mode == "signing":
        return check_standard_webhooks(preset.tolerance_s, request, keys, now)
    check_gitlab_token(request, keys)
    return None


def _row(scheme: Hmac) -> _Check:
    return lambda preset, request, keys, now: check_hmac(
        scheme, getattr(preset, "tolerance_s", scheme.tolerance_s), request, keys, now
    )


_CHECKS: dict[type, _Check] = {
    Unverified: lambda *_: None,
    StandardWebhooks: lambda preset, request, keys, now: check_standard_webhooks(
        preset.tolerance_s, request, keys, now
    ),
    Stripe: check_stripe,
    GitLab: _gitlab,
    Twilio: lambda _preset, request, keys, _now: check_twilio(request, keys),
    Hmac: lambda preset, request, keys, now: check_hmac(preset, preset.tolerance_s, request, keys, now),
    Basic: lambda preset, request, keys, _now: check_basic(preset, request, keys),
    Bearer: lambda _preset, request, keys, _now: check_bearer(request, keys),
    HeaderToken: lambda preset, request, keys, _now: check_header_token(preset.header, request, keys),
    IpAllow: lambda preset, request, _keys, _now: check_address(preset, request),
    **{preset: _row(scheme) for preset, scheme in SCHEMES.items()},
}
