"""How a zap's hook verifies its senders: a closed union of configurations, one per scheme.

They are part of the zap's definition and so of the event log: secrets are kept elsewhere and given to `verify`.
"""

import ipaddress
from typing import Annotated, Literal, TypeAlias

import msgspec

from domain.values.json import Json
from domain.values.path import parse_path
from domain.values.shapes import in_words

_HEADER_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\Z"  # RFC 9110 §5.6.2
HeaderName: TypeAlias = Annotated[str, msgspec.Meta(pattern=_HEADER_NAME)]
Affix: TypeAlias = Annotated[str, msgspec.Meta(max_length=100, pattern=r"^[\x20-\x7e]*\Z")]


class DedupeHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="from", tag="header"):
    """A delivery is known by this header."""

    name: HeaderName


class DedupeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="from", tag="body"):
    """A delivery is known by what stands at this path of the parsed body, like `data.id`."""

    path: str

    def __post_init__(self) -> None:
        parse_path(self.path)


class DedupeNone(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="from", tag="none"):
    """Every request is a delivery of its own."""


Dedupe: TypeAlias = DedupeHeader | DedupeBody | DedupeNone


class _Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="preset"):
    """`dedupe` overrides where the scheme itself finds a delivery's id."""

    dedupe: Dedupe | None = None


class _Timed(_Preset, frozen=True):
    """Schemes that sign the time of sending: it may be this far in the past or in the future."""

    tolerance_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 300


class Unverified(_Preset, frozen=True, tag="none"):
    """The address is the only credential: an explicit choice."""


class StandardWebhooks(_Timed, frozen=True, tag="standard_webhooks"):
    """https://github.com/standard-webhooks/standard-webhooks, also as sent by Svix with svix-* headers."""


class Stripe(_Timed, frozen=True, tag="stripe"):
    """https://docs.stripe.com/webhooks#verify-manually"""


class GitHub(_Preset, frozen=True, tag="github"):
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""


class Shopify(_Preset, frozen=True, tag="shopify"):
    """https://shopify.dev/docs/apps/build/webhooks/subscribe/https#step-5-verify-the-webhook"""


class Slack(_Timed, frozen=True, tag="slack"):
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""


class Razorpay(_Preset, frozen=True, tag="razorpay"):
    """https://razorpay.com/docs/webhooks/validate-test/"""


class GitLab(_Timed, frozen=True, tag="gitlab"):
    """https://docs.gitlab.com/user/project/integrations/webhooks/: a secret token, or the newer signing token."""

    mode: Literal["token", "signing"] = "token"


class Twilio(_Preset, frozen=True, tag="twilio"):
    """https://www.twilio.com/docs/usage/webhooks/webhooks-security: signs the public URL and the form's fields."""


class Hmac(_Timed, frozen=True, kw_only=True, tag="hmac"):
    """Any scheme that puts an HMAC over `template` into one header.

    `template` has {body} once, {timestamp} exactly where a `timestamp_header` is named, of unix seconds or `ms`, and
    {method} and {url}, the public one, where these are signed, too.
    """

    header: HeaderName
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64", "base64url"] = "hex"
    prefix: Affix = ""
    timestamp_header: HeaderName | None = None
    timestamp_unit: Literal["s", "ms"] = "s"
    template: Affix = "{body}"

    def __post_init__(self) -> None:
        if self.template.count("{body}") != 1:
            raise ValueError("template has {body} once")
        if ("{timestamp}" in self.template) != (self.timestamp_header is not None):
            raise ValueError("a timestamp_header and {timestamp} in the template go together")


class Basic(_Preset, frozen=True, kw_only=True, tag="basic"):
    """HTTP Basic (RFC 7617); the secret is the password."""

    username: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^:\x00-\x1f\x7f]*\Z")]


class Bearer(_Preset, frozen=True, tag="bearer"):
    """`Authorization: Bearer`, or the query field access_token (RFC 6750, which CloudEvents senders use)."""


class HeaderToken(_Preset, frozen=True, kw_only=True, tag="header_token"):
    """A header that holds the secret itself, like an API key."""

    header: HeaderName


class IpAllow(_Preset, frozen=True, kw_only=True, tag="ip_allow"):
    """Requests from these networks only."""

    cidrs: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=100)]

    def __post_init__(self) -> None:
        for cidr in self.cidrs:
            ipaddress.ip_network(cidr)


class Unknown(msgspec.Struct, frozen=True):
    """A configuration that is none of these; every request is refused, for `reason`."""

    reason: str


Preset: TypeAlias = (
    Unverified
    | StandardWebhooks
    | Stripe
    | GitHub
    | Shopify
    | Slack
    | Razorpay
    | GitLab
    | Twilio
    | Hmac
    | Basic
    | Bearer
    | HeaderToken
    | IpAllow
)


def load_preset(config: Json) -> Preset | Unknown:
    """A stored configuration. An invalid one is Unknown, so that a mistake refuses requests and never admits them."""
    try:
        preset: Preset = msgspec.convert(config, Preset)
    except (msgspec.ValidationError, RecursionError) as error:
        return Unknown(in_words(error))
    return preset
