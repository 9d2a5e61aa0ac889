"""Why the intake does not take a request; the edge makes answers of these."""

from typing import ClassVar

from domain.log.errors import DomainError


class BadSignature(DomainError):
    """Nothing proves that the request comes from the sender that the zap trusts."""

    code = "bad_signature"


class Malformed(DomainError):
    """The request is not what it says it is."""

    code = "malformed"


class UnsupportedEncoding(DomainError):
    """The body is packed in a way that is not known here."""

    code = "unsupported_encoding"


class RequestTooLarge(DomainError):
    """The body or the query is longer than is taken."""

    code = "too_large"


class HeadersTooLarge(DomainError):
    """The headers are more, or longer, than is taken."""

    code = "headers_too_large"


class TooSlow(DomainError):
    """The body took too long to arrive."""

    code = "too_slow"


class NoRoom(DomainError):
    """Other bodies fill the memory that bodies may have."""

    code = "unavailable"
    retry_after_s = 1


class ZapPaused(DomainError):
    """The zap takes nothing until it is enabled again."""

    code = "zap_paused"


class LoopDetected(DomainError):
    """Runs have started one another too often."""

    code = "loop_detected"


class WrongMethod(DomainError):
    """The hook does not take this method, but those in `allow`."""

    code: ClassVar[str] = "method_not_allowed"

    def __init__(self, message: str, allow: list[str]) -> None:
        super().__init__(message)
        self.allow = allow


class OverLimit(DomainError):
    """More requests came than a minute may have."""

    code: ClassVar[str] = "rate_limited"

    def __init__(self, whose: str, retry_after_s: float) -> None:
        super().__init__(f"{whose} takes no more requests for now")
        self.retry_after_s = max(1, int(retry_after_s) + 1)
