"""What an alert says: as JSON for webhooks and error zaps, as text for e-mail. The same on every attempt."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from domain.failures.failures import AlertRaised
from domain.values.json import Json, JsonObject


def payload(alert_id: UUID, alert: AlertRaised, public_url: str) -> JsonObject:
    """The alert as JSON."""
    causes: list[Json] = [
        {
            "step_id": cause.step_id,
            "code": cause.code,
            "message": cause.message,
            "count": cause.count,
            "run_id": str(cause.run_id),
            "run_url": _run_url(public_url, cause.run_id),
        }
        for cause in alert.causes
    ]
    flags: list[Json] = [
        {"kind": flag.kind, "step_id": flag.step_id, "detail": flag.detail, "since": flag.since.isoformat()}
        for flag in alert.flags
    ]
    return {
        "type": "zap.failures",
        "id": str(alert_id),
        "zap_id": str(alert.zap_id),
        "zap_name": alert.zap_name,
        "failures": alert.failures,
        "since": alert.since.isoformat(),
        "until": alert.until.isoformat(),
        "causes": causes,
        "flags": flags,
    }


def subject(alert: AlertRaised) -> str:
    """One line for the inbox."""
    name = " ".join(alert.zap_name.split()) or str(alert.zap_id)
    if alert.failures:
        return f"{name}: {_runs(alert.failures)} failed"
    return f"{name}: {', '.join(sorted({flag.kind.replace('_', ' ') for flag in alert.flags}))}"


def text(alert: AlertRaised, public_url: str) -> str:
    """The alert for people."""
    return "\n".join(_lines(alert, public_url)) + "\n"


def _lines(alert: AlertRaised, public_url: str) -> Iterator[str]:
    if alert.failures:
        failed = f"{_runs(alert.failures)} of the zap {alert.zap_name!r} failed"
        yield f"{failed} between {_moment(alert.since)} and {_moment(alert.until)}."
    for cause in alert.causes:
        yield ""
        yield f"{cause.count} x {cause.code}{f' at step {cause.step_id}' if cause.step_id else ''}: {cause.message}"
        yield f"    the last one: {_run_url(public_url, cause.run_id)}"
    for flag in alert.flags:
        yield ""
        yield f"Flagged: {flag.detail}."
    yield ""
    yield f"All of them: {public_url}/api/v1/dead-letters?zap_id={alert.zap_id}"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _run_url(public_url: str, run_id: UUID) -> str:
    return f"{public_url}/api/v1/runs/{run_id}"
