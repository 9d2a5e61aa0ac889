"""Sign-up, sign-in, sessions and API keys: rows in plain tables first, then the fact in the user's stream."""

from datetime import timedelta
from typing import Literal
from uuid import UUID

import msgspec

from app.accounts.auth import Forbidden, Principal
from app.accounts.guesses import Guesses, TooManyGuesses
from app.accounts.passwords import Passwords
from app.accounts.refusals import Refusals
from app.accounts.tokens import (
    ACCESS_LIFETIME,
    BadToken,
    RefreshToken,
    Tokens,
    fingerprint,
    key_prefix,
    new_api_key,
)
from app.config.parsers import WhoMaySignUp
from domain.account.identity import (
    AccessRefused,
    ApiKeyCreated,
    ApiKeyDeleted,
    IdentityEvent,
    SignInFailed,
    UserPasswordChanged,
    UserSignedIn,
    UserSignedOut,
    UserSignedUp,
)
from domain.log.errors import DomainError, Invalid, LimitReached, NotFound, Unauthorized, WrongStatus
from domain.log.event import ANY_VERSION, Metadata, NewEvent, Via
from domain.log.ports import Clock, EventStore, NewId, StoreUnavailable
from domain.log.stream import facts
from domain.values.email import canonical, is_email, visible_length
from sql.tables.identity import MAX_API_KEYS, ApiKey, Identity, Scope, User

SESSION_LIFETIME = timedelta(days=30)
"""How long an unused session lasts; each refresh starts it anew."""
REFRESH_GRACE = timedelta(seconds=10)
"""How long the previous refresh token still works: the reply with the new one may have been lost."""

MAX_DEVICE = 300
"""Characters that are kept of what a device calls itself."""
MIN_PASSWORD = 8
"""The least number of visible characters in a password."""


class SignUpsClosed(DomainError, code="sign_up_closed"):
    """The operator has closed sign-up."""


class EmailTaken(DomainError, code="email_taken"):
    """An account with this address exists."""


class TokenPair(msgspec.Struct, frozen=True):
    """What a signed-in client holds; `expires_in` is the access token's life in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """Commands on accounts. Methods raise DomainError for refusals, and StoreUnavailable."""

    identity: Identity
    store: EventStore
    tokens: Tokens
    passwords: Passwords
    guesses: Guesses
    refusals: Refusals
    now: Clock
    new_id: NewId
    signup: WhoMaySignUp = "on"

    async def sign_up(self, name: str, email: str, password: str, via: Via) -> tuple[User, TokenPair]:
        """A new account, signed in. One person has one account, however the address is spelt."""
        await self._require_open_signup()
        user = User(self.new_id(), _address(email), name)
        _require_visible(password)
        if not await self.identity.add_user(user, await self.passwords.hash(password)):
            raise EmailTaken("an account with this e-mail address exists: sign in instead")
        try:
            await self._record(user.id, UserSignedUp(), _by(user.id, via), expected=0)
        except StoreUnavailable:
            # Otherwise a client that tries again would be told that its address is taken.
            await self.identity.remove_user(user.id)
            raise
        return user, await self._start_session(user.id, via.user_agent)

    async def sign_in(self, email: str, password: str, via: Via) -> tuple[User, TokenPair]:
        """The account's owner, signed in from somewhere, on a device that calls itself something.

        Unknown address and wrong password get the same answer. Raises TooManyGuesses.
        """
        found = await self.identity.user_by_email(email)
        hashed = found[1] if found else None
        owner = found[0] if found else None
        try:
            right = await self.guesses.check(canonical(email), via.ip, lambda: self.passwords.matches(password, hashed))
        except TooManyGuesses:
            self._note_failure(owner, "too_many", via)
            raise
        if not right or owner is None:
            self._note_failure(owner, "wrong_password", via)
            raise Unauthorized("wrong e-mail address or password")
        pair = await self._start_session(owner.id, via.user_agent)
        await self._record(owner.id, UserSignedIn(), _by(owner.id, via))
        return owner, pair

    def _note_failure(self, owner: User | None, reason: Literal["wrong_password", "too_many"], via: Via) -> None:
        """Of an account that there is; nobody could look at what is tried elsewhere."""
        if owner is not None:
            self.refusals.note(owner.id, SignInFailed(reason=reason), Metadata(actor="anybody", via=via))

    async def refresh(self, text: str, via: Via) -> TokenPair:
        """Trade a refresh token for a new pair. A token that was traded before ends its session (RFC 9700 §4.14.2)."""
        try:
            old = self.tokens.read_refresh(text)
        except BadToken:
            raise _bad_refresh_token() from None
        new, old_hash = old.next(), fingerprint(text)
        user_id = await self.identity.rotate_session(
            old.session_id, old_hash, fingerprint(self.tokens.refresh(new)), self.now() + SESSION_LIFETIME
        ) or await self.identity.session_rotated_since(old.session_id, old_hash, REFRESH_GRACE)
        if user_id is None:
            await self._end_session(old.session_id, via)
            raise _bad_refresh_token()
        return self._pair(user_id, new)

    async def sign_out(self, principal: Principal) -> None:
        """End the session that the request came with."""
        if principal.session_id is None:
            raise WrongStatus("an API key has no session: delete the key instead")
        await self._end_session(principal.session_id, principal.via)

    async def change_password(self, principal: Principal, current: str, new: str) -> None:
        """Replace the password, and end all sessions but the one that asks. API keys keep working.

        Raises Forbidden for an API key, Invalid for a wrong or weak password, and TooManyGuesses.
        """
        if principal.session_id is None:
            raise Forbidden("an API key can not change the password: sign in")
        email, hashed = await self.identity.password_of(principal.user_id)
        ip = principal.via.ip
        if not await self.guesses.check(canonical(email), ip, lambda: self.passwords.matches(current, hashed)):
            raise _invalid("current_password", "this is not your password")
        _require_visible(new, "new_password")
        await self.identity.change_password(principal.user_id, await self.passwords.hash(new))
        await self._record(principal.user_id, UserPasswordChanged(), principal.metadata)
        for session in await self.identity.sessions_of(principal.user_id):
            if session.id != principal.session_id:
                await self._end_session(session.id, principal.via)

    async def end_session(self, principal: Principal, session_id: UUID) -> None:
        """Sign out one of the user's devices."""
        if session_id not in {session.id for session in await self.identity.sessions_of(principal.user_id)}:
            raise NotFound("no such session")
        await self._end_session(session_id, principal.via)

    async def end_sessions(self, refresh_token: str, via: Via, *, everywhere: bool) -> None:
        """End the session of a refresh token, or all of its user's; a token of no session ends none."""
        try:
            session_id = self.tokens.read_refresh(refresh_token).session_id
        except BadToken:
            return
        user_id = await self._end_session(session_id, via)
        if everywhere and user_id is not None:
            for other in await self.identity.sessions_of(user_id):
                await self._end_session(other.id, via)

    async def may_sign_up(self) -> tuple[bool, bool]:
        """Whether anybody may, and whether nobody has yet."""
        first = not await self.identity.has_users()
        return self.signup == "on" or (self.signup == "first" and first), first

    async def create_key(self, principal: Principal, name: str, scopes: tuple[Scope, ...]) -> tuple[ApiKey, str]:
        """A new API key: the stored part, and the key itself, which is shown only once.

        Raises Forbidden for scopes that the principal itself does not have, and LimitReached.
        """
        if not set(scopes) <= set(principal.scopes):
            has, needs = ", ".join(principal.scopes), ", ".join(sorted(set(scopes) - set(principal.scopes)))
            refused = AccessRefused(method="POST", path="/api/v1/api-keys", needs=needs)
            self.refusals.note(principal.user_id, refused, principal.metadata)
            raise Forbidden(f"this API key may not make one that can more than itself: it has the scopes {has}")
        key, key_id = new_api_key(), self.new_id()
        added = await self.identity.add_api_key(
            key_id, principal.user_id, name=name, prefix=key_prefix(key), key_hash=fingerprint(key), scopes=scopes
        )
        if added is None:
            raise LimitReached(f"an account has at most {MAX_API_KEYS} API keys: delete one first")
        created = ApiKeyCreated(key_id=key_id, name=name, scopes=scopes)
        await self._record(principal.user_id, created, principal.metadata)
        return added, key

    async def delete_key(self, principal: Principal, key_id: UUID) -> None:
        """Revoke a key. It stops working at once."""
        if not await self.identity.delete_api_key(principal.user_id, key_id):
            raise NotFound("no such API key")
        await self._record(principal.user_id, ApiKeyDeleted(key_id=key_id), principal.metadata)

    async def _require_open_signup(self) -> None:
        is_open, _first = await self.may_sign_up()
        if not is_open:
            raise SignUpsClosed("nobody can sign up here: ask whoever runs this installation for an account")

    async def _start_session(self, user_id: UUID, device: str) -> TokenPair:
        first = RefreshToken(self.new_id(), 0)
        refresh_hash = fingerprint(self.tokens.refresh(first))
        expires_at = self.now() + SESSION_LIFETIME
        await self.identity.add_session(first.session_id, user_id, refresh_hash, expires_at, device[:MAX_DEVICE])
        return self._pair(user_id, first)

    async def _end_session(self, session_id: UUID, via: Via) -> UUID | None:
        user_id = await self.identity.end_session(session_id)
        if user_id is not None:
            await self._record(user_id, UserSignedOut(session_id=session_id), _by(user_id, via))
        return user_id

    def _pair(self, user_id: UUID, token: RefreshToken) -> TokenPair:
        access = self.tokens.access(user_id, token.session_id, self.now(), self.new_id())
        return TokenPair(access, self.tokens.refresh(token), int(ACCESS_LIFETIME.total_seconds()))

    async def _record(
        self, user_id: UUID, fact: IdentityEvent, metadata: Metadata, expected: int = ANY_VERSION
    ) -> None:
        new = NewEvent(self.new_id(), fact)
        await self.store.append(facts(user_id, user_id, new, metadata=metadata, expected=expected))


def _by(user_id: UUID, via: Via) -> Metadata:
    return Metadata(actor=f"user:{user_id}", via=via)


def _bad_refresh_token() -> Unauthorized:
    return Unauthorized("the refresh token is not valid (any more): sign in again", 'Bearer error="invalid_token"')


def _address(email: str) -> str:
    address = canonical(email)
    if not is_email(address):
        raise _invalid("email", "this is no e-mail address")
    return address


def _require_visible(password: str, path: str = "password") -> None:
    if visible_length(password) < MIN_PASSWORD:
        raise _invalid(path, f"it needs at least {MIN_PASSWORD} characters that are not blank")


def _invalid(path: str, reason: str) -> Invalid:
    return Invalid(f"{path}: {reason}", errors=[{"path": path, "reason": reason}])
