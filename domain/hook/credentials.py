"""Schemes that sign nothing: a secret that travels with the request, or the address it comes from."""

import hashlib
import hmac
import ipaddress
from base64 import b64encode
from urllib.parse import parse_qs, urlsplit

import msgspec

from domain.hook.presets import Basic, Bearer, GitLab, HeaderToken, IpAllow, Preset, Unknown
from domain.hook.signatures import Keys
from domain.hook.signed_request import Refusal, SignedRequest

MAX_QUERY_FIELDS = 1_000
_GITLAB_HEADER = "X-Gitlab-Token"
_QUERY_FIELD = "access_token"


class Proof(msgspec.Struct, frozen=True):
    """Where a request carries the secret itself: headers by their lower-case names, and fields of the query."""

    headers: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()


NO_PROOF = Proof()


def proof_of(preset: Preset | Unknown) -> Proof:
    """The parts of a request that no log, template or person may see. Signatures are not among them."""
    match preset:
        case HeaderToken(header=name):
            return Proof(frozenset({name.lower()}))
        case GitLab(mode="token"):
            return Proof(frozenset({_GITLAB_HEADER.lower()}))
        case Basic():
            return Proof(frozenset({"authorization"}))
        case Bearer():
            return Proof(frozenset({"authorization"}), frozenset({_QUERY_FIELD}))
        case _:
            return NO_PROOF


def check_basic(preset: Basic, request: SignedRequest, keys: Keys) -> None:
    """RFC 7617, in UTF-8."""
    given = _authorization(request, "basic")
    _require_one_of(given, [b64encode(preset.username.encode() + b":" + key) for key in keys])


def check_bearer(request: SignedRequest, keys: Keys) -> None:
    """RFC 6750 §2.1 and §2.3, never both at once (§2)."""
    in_query = parse_qs(urlsplit(request.url).query, max_num_fields=MAX_QUERY_FIELDS).get(_QUERY_FIELD, [])
    if not in_query:
        _require_one_of(_authorization(request, "bearer"), keys)
    elif len(in_query) > 1 or request.optional_header("authorization") is not None:
        raise Refusal("bad_credentials", "the token was given more than once")
    else:
        _require_one_of(in_query[0], keys)


def check_header_token(header: str, request: SignedRequest, keys: Keys) -> None:
    """The secret itself in a header, as with API keys."""
    _require_one_of(request.header(header), keys)


def check_gitlab_token(request: SignedRequest, keys: Keys) -> None:
    """GitLab's secret token."""
    check_header_token(_GITLAB_HEADER, request, keys)


def check_address(preset: IpAllow, request: SignedRequest) -> None:
    """The client's address as the server knows it, behind the proxies of TRIGGERHUB_TRUSTED_PROXIES."""
    try:
        address = ipaddress.ip_address(request.client_ip)
    except ValueError:
        raise Refusal("address_not_allowed", "the sender's address is not known") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not any(address in ipaddress.ip_network(cidr) for cidr in preset.cidrs):
        raise Refusal("address_not_allowed", f"{address} is in none of the allowed networks")


def _authorization(request: SignedRequest, wanted: str) -> str:
    scheme, _, credentials = request.header("Authorization").partition(" ")
    if scheme.lower() != wanted:
        raise Refusal("bad_credentials", f"the Authorization scheme is not {wanted}")
    return credentials.strip(" ")


def _require_one_of(given: str, secrets: Keys) -> None:
    # Digests are of one length: not even the secret's own length shows in the time.
    digest = hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()
    if not any(hmac.compare_digest(hashlib.sha256(secret).digest(), digest) for secret in secrets):
        raise Refusal("bad_credentials", "the credentials are not the zap's")
