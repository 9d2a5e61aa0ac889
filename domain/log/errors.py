"""Refusals of the domain. Each has a stable code; the API maps codes to HTTP statuses."""

from typing import ClassVar

from domain.values.json import Json


class DomainError(Exception):
    """A command that cannot be carried out; the message says what to do about it.

    A subclass names its code: `class NotFound(DomainError, code="not_found")`.
    """

    code: ClassVar[str] = "domain.error"
    retry_after_s: float | None = None
    """When to try again, where that is known."""

    def __init_subclass__(cls, code: str = "") -> None:
        if code:
            cls.code = code

    def __init__(self, message: str, **details: Json) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Unauthorized(DomainError, code="unauthorized"):
    """Nothing proves who is asking; `challenge` is what the client has to answer (RFC 9110 §11.6.1)."""

    def __init__(self, message: str, challenge: str = "Bearer") -> None:
        super().__init__(message)
        self.challenge = challenge


class NotFound(DomainError, code="not_found"):
    """Nothing with this id belongs to the caller."""


class Invalid(DomainError, code="invalid"):
    """A value breaks a rule; `details["errors"]` lists each path with its reason."""

    def at(self, place: str) -> "Invalid":
        """The same about a value that stands at a place of a larger one."""
        listed = self.details.get("errors")
        errors = listed if isinstance(listed, list) else []
        moved: list[Json] = [{**one, "path": f"{place}.{one['path']}"} for one in errors if isinstance(one, dict)]
        return Invalid(f"{place}.{self.message}", errors=moved)


class WrongStatus(DomainError, code="wrong_status"):
    """The aggregate's status does not allow the command."""


class NothingToDo(WrongStatus):
    """One item of a job does not fit its command, or no longer does."""


class VersionConflict(DomainError, code="version_conflict"):
    """Someone else changed the stream since it was read."""


class LimitReached(DomainError, code="limit_reached"):
    """A limit on the number of things is reached."""
