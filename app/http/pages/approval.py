"""The page of an approval: /approve/{token}. It needs neither an account nor JavaScript.

Mail scanners open links: looking at the page changes nothing, only the form that it holds does.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import FromPath

from app.accounts.auth import via_of
from app.commands.approvals import MAX_COMMENT, Approvals, Opened, Reply
from app.http.docs import layout
from app.http.inputs import Injected
from app.http.pages.form import form
from app.http.problems import Problem
from app.http.requests import request_body
from app.http.services import Services
from domain.flow.approvals import Verdict
from domain.flow.forms import MAX_FIELDS, RESERVED, fields, filled_in, wrong
from domain.log.errors import NotFound
from domain.run.answers import AlreadyDecided, TooLate, require_open, said, written
from domain.run.waits import Approval, ApprovalAsked

MAX_FORM_BODY = 256 * 1024
"""Bytes of an answer."""
_FORM = "application/x-www-form-urlencoded"
_DONE = {"approve": "approved", "reject": "rejected"}
Page: TypeAlias = Response[str]
AnyRequest: TypeAlias = "Request[Any, Any, State]"


@get("/approve/{token:str}", include_in_schema=False)
async def show(token: FromPath[str], approvals: Injected[Approvals], services: Injected[Services]) -> Page:
    """What is asked, and a form for the answer; or why nobody is asked any more."""
    try:
        opened = await approvals.open(token)
        require_open(opened.run.state, opened.approval, services.now())
    except (NotFound, TooLate) as error:
        return _closed(error)
    except AlreadyDecided as decided:
        return _page(200, opened.approval.asked.title, f"<p>{_sentence(decided.message)}</p>")
    answered = opened.approval.of(opened.recipient)
    if answered is not None:
        return _page(200, opened.approval.asked.title, f"<p>{_sentence(said(answered))}</p>{_count(opened.approval)}")
    return _question(200, opened)


@post("/approve/{token:str}", include_in_schema=False, status_code=200, request_max_body_size=MAX_FORM_BODY)
async def decide(
    token: FromPath[str], request: AnyRequest, approvals: Injected[Approvals], services: Injected[Services]
) -> Page:
    """Record the answer, once."""
    given = await _given(request)
    try:
        opened = await approvals.open(token)
        require_open(opened.run.state, opened.approval, services.now())
        errors = _mistakes(opened.approval.asked, given)
        if errors:
            return _question(422, opened, given, errors)
        run = await approvals.answer_link(opened, _reply(opened.approval.asked, given), via_of(request))
    except (NotFound, TooLate) as error:
        return _closed(error)
    except AlreadyDecided as decided:
        return _page(409, "Decided already", f"<p>{_sentence(decided.message)}</p>")
    asked = opened.approval.asked
    after = run.state.approvals[asked.step_id]
    return _page(200, asked.title, f"<p>Thank you. You have {_DONE[given['decision']]} this.</p>{_count(after)}")


async def _given(request: AnyRequest) -> dict[str, str]:
    """The fields of a web form; of a repeated one the last. Raises Problem."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _FORM:
        raise Problem("unsupported_media_type", f"send the fields of the form as {_FORM}")
    raw = await request_body(request)
    try:
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS + len(RESERVED)))
    except ValueError:
        raise Problem("malformed", "these are not the fields of a form in UTF-8") from None


def _mistakes(asked: ApprovalAsked, given: Mapping[str, str]) -> list[tuple[str, str]]:
    """What is wrong with an answer: JSON pointers and reasons."""
    known = {*RESERVED, *(field.name for field in fields(asked.form))}
    found = [(f"/{name}", "the form has no such field") for name in given if name not in known]
    if given.get("decision") not in _DONE:
        found.append(("/decision", "choose one: approve or reject"))
    if len(given.get("comment", "")) > MAX_COMMENT:
        found.append(("/comment", f"a comment may have {MAX_COMMENT:,} characters"))
    if "\0" in given.get("comment", ""):
        found.append(("/comment", "there is a NUL character in it"))
    complete = given.get("decision") == "approve"
    return found + (wrong(asked.form, filled_in(asked.form, given), complete=complete) if asked.form else [])


def _reply(asked: ApprovalAsked, given: Mapping[str, str]) -> Reply:
    decision: Verdict = "approve" if given["decision"] == "approve" else "reject"
    return Reply(decision=decision, comment=given.get("comment", ""), data=filled_in(asked.form, given))


def _question(
    status: int,
    opened: Opened,
    given: Mapping[str, str] | None = None,
    errors: Sequence[tuple[str, str]] = (),
) -> Page:
    asked = opened.approval.asked
    message = f'<p class="message">{escape(asked.message)}</p>' if asked.message else ""
    until = f"<p>Until {written(asked.until)}, for {escape(asked.to[opened.recipient].name)}.</p>"
    body = message + until + _count(opened.approval) + form(asked.form, given, errors)
    return _page(status, asked.title, body)


def _count(approval: Approval) -> str:
    required, so_far = approval.asked.required, len(approval.answers)
    if required == 1 or approval.settled is not None:
        return ""
    return f"<p>{so_far} of {required} have approved so far.</p>"


def _closed(error: NotFound | TooLate) -> Page:
    """There is nothing to decide, or not any more."""
    return _page(410 if isinstance(error, TooLate) else 404, "Nothing to decide", f"<p>{_sentence(error.message)}</p>")


def _sentence(message: str) -> str:
    return f"{escape(message[:1].upper() + message[1:])}."


def _page(status: int, title: str, body: str) -> Page:
    return layout.form_page(title, f'<div class="approval">{body}</div>', status)


APPROVAL_PAGES = [show, decide]
"""The route handlers."""
