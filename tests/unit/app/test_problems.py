"""Refusals as problem details."""

from collections.abc import Iterator

import msgspec
import pytest
from litestar.exceptions import HTTPException, NotFoundException, ValidationException

from app.http.broken import BrokenRule
from app.http.problems import KINDS, Problem, as_problem, encode, refused_by_hook
from app.intake.refusals import OverLimit, WrongMethod
from domain.log.errors import DomainError, Invalid, NotFound, Unauthorized, VersionConflict, WrongStatus
from domain.log.ports import StoreUnavailable


@pytest.mark.parametrize("kind", [NotFound, Invalid, WrongStatus, VersionConflict])
def test_every_refusal_of_the_domain_has_its_own_status(kind: type[DomainError]) -> None:
    assert as_problem(kind("because")).kind == KINDS[kind.code]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("x"), 404), (WrongStatus("x"), 409), (VersionConflict("x"), 412), (Invalid("x"), 422),
        (DomainError("x"), 422), (StoreUnavailable("x"), 503), (TimeoutError(), 503), (ConnectionRefusedError(), 503),
        (NotFoundException(), 404), (ValidationException(), 400), (HTTPException(status_code=418), 400),
        (HTTPException(status_code=500), 500), (KeyError("x"), 500),
    ],
)  # fmt: skip
def test_whatever_is_raised_becomes_a_problem(error: Exception, status: int) -> None:
    problem = as_problem(error)
    body = msgspec.json.decode(encode(problem))
    assert body["status"] == problem.kind.status == status
    assert body["type"] == f"/docs/problems#{body['code']}"
    assert {"title", "detail"} <= set(body)


def test_broken_rules_are_listed() -> None:
    problem = as_problem(Invalid("name: too long", errors=[{"path": "name", "reason": "too long"}]))
    assert problem.details.errors == (BrokenRule("name", "too long", "/name", "invalid_value"),)


def test_what_is_unexpected_gives_nothing_away_but_an_id() -> None:
    body = encode(as_problem(RuntimeError("select * from secrets")))
    assert b"secrets" not in body
    assert b'"instance":"urn:uuid:' in body


def test_what_can_be_tried_again_says_when() -> None:
    assert as_problem(StoreUnavailable("x")).headers == {"retry-after": "1"}


@pytest.mark.parametrize(("seconds", "shown"), [(1, "1"), (0.2, "1"), (1.5, "2"), (60, "60")])
def test_a_refusal_that_passes_says_when_in_whole_seconds(seconds: float, shown: str) -> None:
    error = DomainError("later")
    error.retry_after_s = seconds
    assert as_problem(error).headers == {"retry-after": shown}


def test_who_is_not_known_hears_what_to_send() -> None:
    assert as_problem(Unauthorized("sign in")).headers == {"www-authenticate": "Bearer"}
    assert as_problem(Unauthorized("sign in", "Basic")).headers == {"www-authenticate": "Basic"}


def test_a_code_that_does_not_exist_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        Problem("nonsense", "x")


def refusals(base: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from refusals(kind)


def test_every_refusal_that_is_declared_anywhere_has_a_kind() -> None:
    declared = {kind.code for kind in refusals() if kind.__module__.startswith(("app.", "domain.", "consumers."))}
    assert {"rate_limited", "unauthorized", "bad_signature"} <= declared
    assert declared <= set(KINDS)


def test_a_hook_answers_with_the_same_problem() -> None:
    error = WrongMethod("this hook takes POST", ["POST", "OPTIONS"])
    refused, problem = refused_by_hook(error), as_problem(error)
    assert (refused.code, refused.detail) == ("method_not_allowed", "this hook takes POST")
    assert (refused.reply.status, refused.reply.body) == (405, encode(problem))
    assert dict(refused.reply.headers)[b"allow"] == b"POST, OPTIONS"
    assert dict(refused.reply.headers)[b"content-type"] == b"application/problem+json"


@pytest.mark.parametrize(("wait_s", "shown"), [(0.0, "1"), (0.3, "1"), (1.0, "2"), (59.9, "60")])
def test_who_is_over_the_limit_hears_when_to_come_again(wait_s: float, shown: str) -> None:
    assert as_problem(OverLimit("this zap", wait_s)).headers == {"retry-after": shown}
