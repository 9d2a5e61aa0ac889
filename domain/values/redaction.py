"""What is blotted out of requests before they are shown or logged. Runs work with the values themselves.

In what users send, whole names that are known for secrets count, in any case, with - or _; a part of a word never does:
`author`, `page_token` and `X-Token-Count` are shown. The keys of our own log lines are judged more strictly.
"""

import re
from urllib.parse import unquote_plus

from domain.values.json import Json, JsonObject

REDACTED = "[redacted]"

_NAMES = (
    "access_key|access_token|api_key|api_secret|api_token|apikey|auth|auth_key|auth_token|authorization|bearer_token"
    "|client_secret|cookie|credential|credentials|csrf_token|id_token|jwt|passwd|password|passphrase|private_key"
    "|private_token|proxy_authorization|pwd|refresh_token|secret|secret_key|secret_token|session_token|set_cookie"
    "|shared_secret|sig|signature|signing_secret|token|webhook_secret|x_access_token|x_amz_credential"
    "|x_amz_security_token|x_amz_signature|x_api_key|x_api_secret|x_api_token|x_auth_key|x_auth_token|x_client_secret"
    "|x_csrf_token|x_functions_key|x_gitlab_token|x_goog_api_key|x_goog_signature|x_hook_secret|x_jwt|x_password"
    "|x_rapidapi_key|x_secret|x_secret_key|x_shopify_access_token|x_telegram_bot_api_secret_token|x_token"
    "|x_vault_token|x_webhook_secret|x_xsrf_token|dd_api_key|dd_application_key|ocp_apim_subscription_key"
)
_SECRET_NAMES = frozenset(_NAMES.split("|"))
_WORDS = ("password", "passwd", "authorization", "cookie", "secret", "token", "api_key", "apikey", "dsn")
_COUNTS = frozenset({"token_type", "secret_count", "token_count"})
"""Keys of log lines that count or name something, and reveal no secret."""
_ASSIGNED = re.compile(
    rf"(?<![\w-])((?:{_NAMES.replace('_', '[_-]?')}|pin|cvc|card)[\"']?\s{{0,9}}[:=]\s{{0,9}}[\"']?)[^\"'&,;}}\]\s]+",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"(?<=//)[^/?#@\s]+@")
_LISTS = frozenset({"headers", "query"})


def is_secret(name: str) -> bool:
    """Whether what goes by this name is not to be shown."""
    return _plain(name) in _SECRET_NAMES


def may_be_secret(key: str) -> bool:
    """Whether what stands under this key of a log line might be a secret: a part of the key is enough."""
    name = _plain(key)
    return name in _SECRET_NAMES or (name not in _COUNTS and any(word in name for word in _WORDS))


def shown(message: Json) -> Json:
    """A request, an answer or the configuration of a step, for those who look at the run. Bodies are as they are."""
    return shown_fields(message) if isinstance(message, dict) else message


def shown_fields(message: JsonObject) -> JsonObject:
    """The same for what is an object anyway."""
    return {name: _field(name, value) for name, value in message.items()}


def shown_query(query: str) -> str:
    """A query string with its secrets blotted out."""
    return "&".join(_pair(field) for field in query.split("&"))


def shown_text(text: str) -> str:
    """Any text, such as the beginning of a body, without what is assigned to the name of a secret."""
    return _ASSIGNED.sub(rf"\1{REDACTED}", text)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _field(name: str, value: Json) -> Json:
    if name in _LISTS and isinstance(value, dict):
        return _list(value)
    if isinstance(value, str):
        match name:
            case "url":
                address, mark, query = value.partition("?")
                return _USER_INFO.sub(f"{REDACTED}@", address, count=1) + mark + shown_query(query)
            case "query" | "query_string":
                return shown_query(value)
    return value


def _list(fields: JsonObject) -> JsonObject:
    return {name: REDACTED if value and is_secret(name) else value for name, value in fields.items()}


def _pair(field: str) -> str:
    name, equals, value = field.partition("=")
    return f"{name}={REDACTED}" if equals and value and is_secret(unquote_plus(name)) else field
