"""Why the intake does not take a request; the edge makes answers of these."""

from domain.log.errors import DomainError


class BadSignature(DomainError, code="bad_signature"):
    """Nothing proves that the request comes from the sender that the zap trusts."""


class Malformed(DomainError, code="malformed"):
    """The request is not what it says it is."""


class UnsupportedEncoding(DomainError, code="unsupported_encoding"):
    """The body is packed in a way that is not known here."""


class RequestTooLarge(DomainError, code="too_large"):
    """The body or the query is longer than is taken."""


class HeadersTooLarge(DomainError, code="headers_too_large"):
    """The headers are more, or longer, than is taken."""


class TooSlow(DomainError, code="too_slow"):
    """The body took too long to arrive."""


class NoRoom(DomainError, code="unavailable"):
    """Other bodies fill the memory that bodies may have."""

    retry_after_s = 1


class ZapPaused(DomainError, code="zap_paused"):
    """The zap takes nothing until it is enabled again."""


class HeldFull(DomainError, code="held_full"):
    """The zap, or its owner, holds as many bytes of requests as it may."""

    retry_after_s = 60


class FilesFull(DomainError, code="files_full"):
    """All files of the workspace have as many bytes as they may."""

    retry_after_s = 60


class LoopDetected(DomainError, code="loop_detected"):
    """Runs have started one another too often."""


class WrongMethod(DomainError, code="method_not_allowed"):
    """The hook does not take this method, but those in `allow`."""

    def __init__(self, message: str, allow: list[str]) -> None:
        super().__init__(message)
        self.allow = allow


class OverLimit(DomainError, code="rate_limited"):
    """More requests came than a minute may have."""

    def __init__(self, whose: str, retry_after_s: float) -> None:
        super().__init__(f"{whose} takes no more requests for now")
        self.retry_after_s = max(1, int(retry_after_s) + 1)
