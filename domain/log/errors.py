"""Refusals of the domain. Each has a stable code; the API maps codes to HTTP statuses."""

from typing import ClassVar

from domain.values.json import Json


class DomainError(Exception):
    """A command that cannot be carried out; the message says what to do about it."""

    code: ClassVar[str] = "domain.error"
    retry_after_s: float | None = None
    """When to try again, where that is known."""

    def __init__(self, message: str, **details: Json) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Unauthorized(DomainError):
    """Nothing proves who is asking; `challenge` is what the client has to answer (RFC 9110 §11.6.1)."""

    code = "unauthorized"

    def __init__(self, message: str, challenge: str = "Bearer") -> None:
        super().__init__(message)
        self.challenge = challenge


class NotFound(DomainError):
    """Nothing with this id belongs to the caller."""

    code = "not_found"


class Invalid(DomainError):
    """A value breaks a rule; `details["errors"]` lists each path with its reason."""

    code = "invalid"


class WrongStatus(DomainError):
    """The aggregate's status does not allow the command."""

    code = "wrong_status"


class NothingToDo(WrongStatus):
    """One item of a job does not fit its command, or no longer does."""


class VersionConflict(DomainError):
    """Someone else changed the stream since it was read."""

    code = "version_conflict"


class LimitReached(DomainError):
    """A limit on the number of things is reached."""

    code = "limit_reached"
