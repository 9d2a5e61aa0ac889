"""What becomes of an answer: a rule of the file, a failure that names its reason, or the output."""

from collections.abc import Sequence

from domain.connector.outcome import Failed, Outcome, Postponed, Retry, Succeeded
from domain.declared.file import ErrorRule, Output, When
from domain.language.spelling import spelled
from domain.values.json import Json, JsonObject
from domain.values.path import Missing, look_up, parse_path

MAX_MESSAGE = 500
MAX_AFTER_S = 86_400.0
_REASONS = (
    "error.message", "error_description", "message", "error.description", "error.type", "errors[0].message",
    "errors[0].detail", "error", "detail", "title", "description", "errors[0]", "reason",
)  # fmt: skip
"""Where services say why they refuse, the most telling first."""


def settled(outcome: Outcome, rules: Sequence[ErrorRule], output: Output) -> Outcome:
    """The outcome of an action, given that of its request."""
    answer = _answer_of(outcome)
    if answer is None or isinstance(outcome, Postponed):
        return outcome
    if rule := rule_of(outcome, rules):
        return _ruled(rule, outcome, answer, output)
    if isinstance(outcome, Succeeded):
        return Succeeded(_picked(answer.get("body"), output))
    return _told(outcome, answer)


def rule_of(outcome: Outcome, rules: Sequence[ErrorRule]) -> ErrorRule | None:
    """The first rule that is about this answer."""
    answer = _answer_of(outcome)
    return None if answer is None else next((rule for rule in rules if _holds(rule.when, answer)), None)


def _answer_of(outcome: Outcome) -> "JsonObject | None":
    """What came back, where something did."""
    if isinstance(outcome, Postponed) or not isinstance(outcome.output, dict) or "status" not in outcome.output:
        return None
    return outcome.output


def _holds(when: When, answer: JsonObject) -> bool:
    statuses = when.status if isinstance(when.status, tuple) else (when.status,)
    if when.status and answer["status"] not in statuses:
        return False
    headers = answer.get("headers")
    there = {name.lower(): value for name, value in headers.items()} if isinstance(headers, dict) else {}
    if any(there.get(name.lower()) != value for name, value in (when.header or {}).items()):
        return False
    return all(_at(answer.get("body"), path) == value for path, value in (when.body or {}).items())


def _ruled(rule: ErrorRule, outcome: Succeeded | Retry | Failed, answer: JsonObject, output: Output) -> Outcome:
    if rule.outcome == "succeed":
        return Succeeded(_picked(answer.get("body"), output))
    body = answer.get("body")
    said = _at(body, rule.code) if rule.code else None
    code = said if isinstance(said, str) and said.isidentifier() else _code(answer)
    message = (_at(body, rule.message) if rule.message else None) or _reason(body)
    text = spelled(message)[:MAX_MESSAGE] or f"the service answered {answer['status']}"
    match rule.outcome:
        case "retry":
            after_s = _seconds(_at(body, rule.retry_after)) if rule.retry_after else None
            asked = outcome.after_s if isinstance(outcome, Retry) else None
            return Retry(code=code, message=text, after_s=asked if after_s is None else after_s, output=answer)
        case "reconnect":
            refused = f"the service does not accept the connection: {text}"
            return Failed(code="unauthorized", message=refused, output=answer)
    return Failed(code=code, message=text, output=answer)


def _code(answer: JsonObject) -> str:
    status = answer["status"]
    return "refused" if isinstance(status, int) and 200 <= status < 300 else f"http_{status}"


def _told(outcome: Retry | Failed, answer: JsonObject) -> Outcome:
    """The same failure, with the reason that the service gives."""
    reason = _reason(answer.get("body"))
    message = f"{outcome.message}: {reason}" if reason else outcome.message
    if isinstance(outcome, Retry):
        return Retry(code=outcome.code, message=message, after_s=outcome.after_s, output=answer)
    return Failed(code=outcome.code, message=message, output=answer)


def _reason(body: Json) -> str:
    if isinstance(body, str):
        return body.strip()[:MAX_MESSAGE] if len(body) <= MAX_MESSAGE and not body.lstrip().startswith("<") else ""
    for path in _REASONS:
        found = _at(body, path)
        if isinstance(found, str) and found.strip():
            return found.strip()[:MAX_MESSAGE]
    return ""


def _seconds(value: Json) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_AFTER_S:
        return None
    return float(value)


def _picked(body: Json, output: Output) -> Json:
    return _at(body, output.pick) if output.pick else body


def _at(value: Json, path: str) -> Json:
    """The value at a path; null where there is none."""
    found = look_up({"it": value}, parse_path(f"it.{path}" if not path.startswith("[") else f"it{path}"))
    return None if isinstance(found, Missing) else found
