"""Who is asked to approve, and what makes an answer a rejection."""

from typing import Literal, TypeAlias

import msgspec

from domain.values.email import Email, canonical
from domain.values.json import Json

Role: TypeAlias = Literal["owner", "admin", "editor", "viewer"]
Verdict: TypeAlias = Literal["approve", "reject"]


class Recipient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who is asked: by e-mail, or by a role that members of the workspace have."""

    email: Email | msgspec.UnsetType = msgspec.UNSET
    role: Role | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if (self.email is msgspec.UNSET) == (self.role is msgspec.UNSET):
            raise ValueError("a recipient has either email or role")

    @property
    def key(self) -> str:
        """Equal for recipients that are the same."""
        return canonical(self.email) if self.email else f"role {self.role}"


def is_rejection(output: Json) -> bool:
    """Whether the output of an approval says that it was rejected."""
    return isinstance(output, dict) and output.get("decision") == "reject"
