"""What requests and answers look like, by the name of their schema. A test holds each against that schema."""

from collections.abc import Mapping, Sequence

import msgspec

from domain.values.json import Json, JsonObject

_USER, _ZAP, _RUN = (f"0199c0de-{number}-7abc-8def-0123456789ab" for number in ("0001", "0002", "0003"))
_OTHER, _STEP = "0199c0de-0004-7abc-8def-0123456789ab", "notify"
_AT, _LATER = "2026-11-25T10:00:00Z", "2026-11-25T10:00:01.250Z"

_TOKENS: JsonObject = {
    "access_token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "refresh_token": "thr_AZnA3gABerqN7wEjRWeJqwAAAAA",
    "expires_in": 900,
}
_PERSON: JsonObject = {"id": _USER, "name": "Ada Lovelace", "email": "ada@example.org"}
_MAIL_ADDRESS: JsonObject = {"email": "grace@example.org", "confirmed": True, "stopped": False, "changed_at": _AT}
_TRIGGER: JsonObject = {
    "type": "webhook.catch",
    "config": {
        "verification": {"preset": "github"},
        "filter": {"field": "trigger.body.action", "operator": "equals", "value": "opened"},
        "reply": {"mode": "custom", "status": 202, "body": "thank you"},
    },
}
_ACTION: JsonObject = {
    "id": _STEP,
    "kind": "action",
    "type": "http.request",
    "config": {"method": "POST", "url": "https://example.org/inbox", "body": {"title": "{{ trigger.body.title }}"}},
    "retry": {"kind": "exponential", "max_attempts": 5},
    "timeout_s": 30,
}
_STEPS: list[Json] = [_ACTION, {"id": "pause", "kind": "delay", "for_s": 60}]
_SCHEDULE: JsonObject = {"cron": "0 9 * * MON-FRI", "time_zone": "Europe/Berlin"}
_NEXT: JsonObject = {"trigger_id": "trigger", "due_at": "2026-11-25T08:00:00Z", "local": "2026-11-25T09:00:00+01:00"}
_POLL: JsonObject = {
    "trigger_id": "trigger",
    "last_at": _AT,
    "last_ok_at": _AT,
    "last_new_at": None,
    "next_at": _LATER,
    "failures": 0,
    "problem": "",
}
_SETTINGS: JsonObject = {
    "concurrency": {"mode": "serial", "key": "{{ trigger.body.repository.id }}"},
    "deadline_s": 3600,
}
_INPUT: JsonObject = {"name": "New issues to the inbox", "trigger": _TRIGGER, "steps": _STEPS, "settings": _SETTINGS}
_DEFINITION: JsonObject = {"trigger": _TRIGGER, "steps": _STEPS, "settings": _SETTINGS}
_ERROR: JsonObject = {"code": "http_500", "message": "the target answered 500", "step_id": _STEP}
_SELECTION: JsonObject = {"zap_id": _ZAP, "status": "failed", "from": "2026-11-25", "to": "2026-11-26T12:00:00Z"}

_CHANGES: JsonObject = {
    "changes": [{"path": "steps.notify.config.method", "op": "replace", "before": "POST", "after": "PUT"}],
    "cut": False,
}
_CONNECTION: JsonObject = {
    "id": _OTHER, "name": "Shop", "kind": "bearer", "config": {"hosts": ["api.example.com"]}, "status": "ok",
    "expires_at": None, "last_used_at": _LATER, "last_refreshed_at": None, "used_by": 1, "position": 42,
}  # fmt: skip
_HASH = "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo="
_KEY = "hub.example.org/log+4a1d3e52+AVpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa"
_NOTE = f"hub.example.org/log\n41207\n{_HASH}\n\n— hub.example.org/log c2lnbmF0dXJl\n"

_CONNECTOR: JsonObject = {
    "name": "shop", "version": "1.0.0", "title": "Shop", "description": "Orders and customers.", "icon": "plug",
    "source": "uploaded", "connection_kinds": ["bearer"], "actions": 1,
}  # fmt: skip
_CONNECTOR_ACTION: JsonObject = {
    "type": "shop.find_order", "name": "Shop: Find an order", "description": "By its id.", "may_repeat": True,
    "config_schema": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    "example": {"id": "{{ trigger.body.id }}"}, "sample": {"id": "17", "total": 250},
}  # fmt: skip
_CONNECTOR_FILE: JsonObject = {
    "connector": "shop", "version": "1.0.0", "name": "Shop", "base_url": "https://api.shop.example/v2",
    "connection": {"kind": "bearer"},
    "actions": {"find_order": {
        "name": "Find an order", "effect": "read", "input": {"id": {"type": "string", "required": True}},
        "request": {"path": "/orders/{id}"}, "output": {"sample": {"id": "17", "total": 250}},
    }},
}  # fmt: skip
_OPERATION: JsonObject = {
    "id": "findOrder", "method": "GET", "path": "/orders/{id}", "name": "Find an order", "tags": ["orders"],
}  # fmt: skip
_CHOICE: JsonObject = {"value": "C0123456789", "label": "orders", "hint": ""}

EXAMPLES: Mapping[str, Json] = {
    "ConnectorUpload": {"file": _CONNECTOR_FILE},
    "ConnectorItem": _CONNECTOR,
    "ConnectorAction": _CONNECTOR_ACTION,
    "ConnectorDetail": {
        "connector": _CONNECTOR, "versions": ["1.0.0"], "actions": [_CONNECTOR_ACTION], "triggers": {}, "choices": [],
        "setup": {"base_url": "https://api.shop.example/v2", "connection": {"kind": "bearer"}, "limits": None},
        "file": _CONNECTOR_FILE,
    },
    "ImportWish": {"name": "shop", "url": "https://api.shop.example/openapi.json", "operations": ["findOrder"],
                   "dry_run": True},
    "ConnectorImport": {
        "name": "shop", "version": "1.0.0", "dry_run": True, "base_url": "https://api.shop.example/v2",
        "connection_kind": "bearer", "operations": [_OPERATION], "chosen": 1,
        "changes": {"added": ["findOrder"], "changed": [], "removed": []}, "affected": [], "connector": None,
    },
    "AffectedZap": {
        "zap_id": _ZAP, "name": _INPUT["name"], "status": "enabled", "steps": [_STEP], "operations": ["findOrder"],
    },
    "OperationItem": _OPERATION,
    "ImportChanges": {"added": ["findOrder"], "changed": [], "removed": []},
    "ChoicesWish": {"connection_id": _OTHER, "input": {}, "search": "ord", "cursor": ""},
    "ChoiceItem": _CHOICE,
    "ChoicePage": {"items": [_CHOICE], "next_cursor": None, "complete": True},
    "Difference": _CHANGES,
    "AuditEntry": {
        "position": 47, "at": _LATER, "type": "zap.draft_changed",
        "actor": {"kind": "user", "id": _USER, "name": "Ada Lovelace"},
        "via": {"ip": "192.0.2.7", "user_agent": "Mozilla/5.0", "api_key": None},
        "entity": {"kind": "zap", "id": _ZAP, "name": "New issues to the inbox"},
        "summary": "Ada Lovelace changed the draft of zap New issues to the inbox", **_CHANGES,
        "correlation_id": None, "causation_id": None,
        "event_hash": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    },
    "DifferenceBetween": {"from": {"position": 42, "at": _AT}, "to": {"position": 47, "at": _LATER}, **_CHANGES},
    "SignUp": {"name": "Ada Lovelace", "email": "ada@example.org", "password": "a long phrase that nobody else has"},
    "SignIn": {"email": "ada@example.org", "password": "a long phrase that nobody else has"},
    "RefreshRequest": {"refresh_token": _TOKENS["refresh_token"]},
    "SignedIn": {"user": _PERSON, **_TOKENS},
    "TokenPair": _TOKENS,
    "Session": {"user": _PERSON, "access_token": _TOKENS["access_token"], "expires_in": 900},
    "SessionAccess": {"access_token": _TOKENS["access_token"], "expires_in": 900},
    "SignUpState": {"open": True, "first": False},
    "User": _PERSON,
    "PasswordChange": {"current_password": "a long phrase that nobody else has",
                       "new_password": "another one that nobody else has"},
    "SessionItem": {"id": _OTHER, "device": "Mozilla/5.0 (X11; Linux x86_64)", "created_at": _AT,
                    "last_used_at": _LATER, "expires_at": "2026-12-25T10:00:01.250Z", "current": True},
    "NewApiKey": {"name": "deployment", "scopes": ["read", "write"]},
    "CreatedApiKey": {"id": _OTHER, "name": "deployment", "prefix": "thk_3x7", "scopes": ["read", "write"],
                      "created_at": _AT, "key": "thk_3x7Qw0"},
    "ApiKey": {"id": _OTHER, "name": "deployment", "prefix": "thk_3x7", "scopes": ["read"], "created_at": _AT},
    "CheckpointSummary": {"id": "00000000-0000-0000-0000-00000000a0f7", "size": 41_207, "signed_at": _AT, "note": _NOTE,
                          "key": _KEY},
    "EventProof": {"format": "triggerhub-event-proof-1", "position": 2, "version": 1, "recorded_us": 1_795_600_800,
                   "event": "AAEAAQ==", "event_hash": _HASH, "inclusion": [_HASH], "checkpoint": _NOTE, "key": _KEY},
    "ConsistencyProof": {"format": "triggerhub-consistency-proof-1", "from": _NOTE, "to": _NOTE, "consistency": [_HASH],
                         "key": _KEY},
    "ErasureRequest": {"subject": "grace@example.org"},
    "RetentionPlan": {
        "items": [{"what": "runs", "zap_id": _ZAP, "month": "2026-07", "status": "completed", "runs": 41_207,
                   "is_due": True, "bytes": 61_810_500, "oldest": _AT, "newest": _LATER, "goes_at": _LATER}],
        "archives": True,
    },
    "Archive": {
        "id": _OTHER, "name": "runs-2026-07-0123456789ab-41207.ndjson.gz", "month": "2026-07", "dropped_at": _LATER,
        "zaps": [{"zap_id": _ZAP, "runs": {"completed": 41_000, "failed": 207}}], "events": 164_828,
        "bytes": 12_400_000, "away": True, "position": 70,
    },
    "SystemState": {
        "own": {
            "runs": 41_208, "runs_of_last_day": 1_204, "oldest_run": _AT, "run_bytes": 2_763, "file_bytes": 840_000,
            "held_bytes": 0,
        },
        "installation": {
            "log_bytes": 7_300_000_000, "read_model_bytes": 2_100_000_000, "rest_bytes": 84_000_000,
            "events": 10_000_000, "events_of_last_day": 120_000, "relay_behind": 0,
            "read_models": [{"name": "run_list", "bytes": 900_000_000, "behind": 0, "parked": 0}],
            "dead_rows": [{"table": "rm_run_list_v1.run_list", "dead": 210_000, "live": 600_000}],
        },
    },
    "ErasurePreview": {"runs": 3, "under_way": 0, "bytes": 4_812, "oldest": _AT, "newest": _LATER, "more": False,
                       "zaps": [{"zap_id": _ZAP, "runs": {"completed": 2, "failed": 1}}]},
    "Erased": {"runs": 1, "position": 41_208},
    "Verification": {"holds": True, "events": 41_207, "head": {"position": 41_207, "hash": "5a" * 32},
                     "first_problem": None, "duration_ms": 310.5},
    "ZapInput": _INPUT,
    "ZapUpdate": _INPUT,
    "Zap": {
        "id": _ZAP, "name": _INPUT["name"], "status": "enabled", "version": 1, "draft": _DEFINITION,
        "draft_differs": False, "set_aside": None, "flags": [], "warnings": [], "next_runs": [],
        "hook_url": f"https://hub.example.org/hooks/catch/{_USER}/{_ZAP}", "position": 42, "created_at": _AT,
        "updated_at": _LATER,
    },
    "ZapSummary": {
        "id": _ZAP, "name": _INPUT["name"], "status": "enabled", "version": 1, "trigger_type": "webhook.catch",
        "step_count": 2, "created_at": _AT, "updated_at": _LATER, "position": 42, "flags": [], "tags": ["billing"],
        "completed": 120, "failed": 1, "last_completed_at": _LATER, "last_failed_at": _AT,
    },
    "PublishRequest": {"note": "Refunds, too"},
    "DefinitionCheck": {
        "warnings": [{"path": "steps.0.paths", "pointer": "/steps/0/paths", "code": "no_otherwise",
                      "reason": "where no path matches nothing is taken"}],
    },
    "RollbackRequest": {"version": 1},
    "ZapVersion": {
        "number": 1, "name": _INPUT["name"], "live": True, "published_at": _AT, "note": "Refunds, too",
        "definition": _DEFINITION,
    },
    "NextRun": _NEXT,
    "TriggerPreviewRequest": {"trigger": {"type": "schedule.cron", "config": _SCHEDULE}},
    "Outlook": {
        "next_runs": [_NEXT],
        "clock_change": {
            "at": "2027-03-28T01:00:00Z", "from_offset": "+01:00", "to_offset": "+02:00",
            "next_runs": [
                {"trigger_id": "trigger", "due_at": "2027-03-29T07:00:00Z", "local": "2027-03-29T09:00:00+02:00"},
            ],
        },
    },
    "Tick": {
        "id": _OTHER, "trigger_id": "trigger", "kind": "schedule", "due_at": _AT, "fired_at": _LATER, "status": "fired",
        "run_ids": [_RUN], "new_items": 0, "detail": "", "count": 1, "position": 44,
    },
    "HealthReport": {"completed": 120, "failed": 1, "last_completed_at": _AT, "last_failed_at": _AT, "alert": None,
                  "mail_addresses": [_MAIL_ADDRESS], "polls": [_POLL]},
    "PollHealth": _POLL,
    "MailAddress": _MAIL_ADDRESS,
    "AskAddress": {"email": "grace@example.org"},
    "AddressList": {"items": [_MAIL_ADDRESS], "next_cursor": None},
    "NewConnection": {
        "name": "Shop", "kind": "bearer", "config": {"hosts": ["api.example.com"]},
        "secrets": {"token": "the token that the API gave you"},
    },
    "NewVariable": {"value": "https://api.example.com", "secret": False},
    "Variable": {
        "name": "BASE", "value": "https://api.example.com", "secret": False, "changed_at": _AT, "position": 42,
    },
    "ConnectionUpdate": {"secrets": {"token": "another token"}},
    "Connection": _CONNECTION,
    "CreatedConnection": _CONNECTION,
    "Reconnect": {"authorize_url": "https://id.example.com/authorize?response_type=code&client_id=c&state=…"},
    "ConnectionTestRequest": {"url": "https://api.example.com/me"},
    "ConnectionTest": {"ok": True, "detail": "the host let it in: it answered 200", "http_status": 200, "status": "ok"},
    "ConnectionUse": {
        "zap_id": _ZAP, "name": _INPUT["name"], "status": "enabled", "version": "live", "places": [_STEP],
    },
    "HookSecrets": {"secrets": ["the new secret", "the secret before"]},
    "Registration": {
        "status": "failed", "at": "github.webhook", "connection_id": _OTHER, "hook_id": "", "since": _AT, "failures": 1,
        "code": "http_404", "message": "the target answered 404: Not Found", "next_at": None,
    },
    "SecretsState": {"count": 2, "changed_at": _AT},
    "HookRequest": {
        "id": _OTHER, "reason": "bad_signature", "count": 1, "at": _AT, "until": None, "status": 401,
        "detail": "the signature does not match", "method": "POST", "path": "", "content_type": "application/json",
        "size": 13, "excerpt": '{"title":"x"}', "delivery_id": "", "admissible": False, "run_id": None,
        "discarded": False, "repeats": {}, "position": 43,
    },
    "Admitted": {"status": "accepted", "run_id": _RUN, "position": 44},
    "RunSummary": {
        "id": _RUN, "zap_id": _ZAP, "zap_version": 1, "status": "failed", "source": "webhook", "started_at": _AT,
        "finished_at": _LATER, "duration_ms": 1250, "error": _ERROR, "attempts": 5, "replay_of": None,
        "parent_id": None, "recovered_by": None, "position": 50,
    },
    "Stats": {
        "items": [
            {
                "from": "2026-11-25T10:00:00Z", "step_id": None, "requests": {"accepted": 1200, "duplicate": 3},
                "runs": {"completed": 1188, "failed": 12}, "failure_rate": 0.01,
                "queue_ms": {"p50": 3.1, "p95": 8.8, "p99": 20.8}, "run_ms": {"p50": 41.2, "p95": 97.2, "p99": 251.9},
            }
        ]
    },
    "KnownPaths": {
        "items": [
            {"path": "trigger.body.order.id", "types": ["number"]}, {"path": "trigger.body.vip", "types": ["other"]},
        ]
    },
    "RunCount": {"count": 128, "exact": True},
    "RunItem": {
        "id": _RUN, "step_id": "each", "index": 7, "status": "completed", "started_at": _AT, "finished_at": _LATER,
        "duration_ms": 1250, "attempts": 1, "recovered_by": None, "error": None, "result": {"id": 17},
    },
    "Run": {
        "id": _RUN, "zap_id": _ZAP, "zap_version": 1, "status": "completed", "source": "webhook",
        "trigger": {"method": "POST", "headers": {}, "query": {}, "body": {"title": "It breaks"}},
        "steps": [
            {
                "id": _STEP, "kind": "action", "at": "steps.0", "parent": "", "branch": "", "why": "",
                "replayable": True, "status": "succeeded", "input": {"url": "https://example.org/inbox"},
                "output": {"status": 200, "body": {"ok": True}}, "error": None, "started_at": _AT,
                "finished_at": _LATER, "duration_ms": 1250, "waits_until": None, "postponed": None,
                "attempts": [{"attempt": 1, "started_at": _AT, "duration_ms": 1250, "error": None, "retry_at": None}],
            }
        ],
        "started_at": _AT, "finished_at": _LATER, "duration_ms": 1250, "queued_ms": 3, "waiting_ms": 0, "error": None,
        "replay_of": None, "depth": 1, "via": [_ZAP], "deadline": None, "replays": [], "recovered_by": None,
        "position": 50,
    },
    "ApprovalAnswer": {"decision": "approve", "comment": "within the budget", "data": {"amount": 20}},
    "RecordedAnswer": {
        "run_id": _RUN, "step_id": "ok", "decision": "approve", "by": "Ada Lovelace", "at": _LATER, "open": False,
        "position": 51,
    },
    "Approval": {
        "id": _OTHER, "run_id": _RUN, "zap_id": _ZAP, "step_id": "ok", "title": "Refund 20 €?",
        "message": "Order 17 arrived broken.", "form": None, "state": "open", "required": 1,
        "recipients": [{
            "email": "ada@example.org", "role": None, "url": "https://hub.example.org/approve/AZnA3gABerqN7w",
            "mail": "", "decision": None, "by": None, "at": None, "comment": None, "form": None,
        }],
        "decision": None, "by": None, "at": None, "asked_at": _AT, "deadline": "2026-11-27T10:00:00Z",
        "url": "https://hub.example.org/approve/AZnA3gABerqN7w", "position": 50,
    },
    "Event": {
        "id": _OTHER, "position": 50, "version": 3, "type": "zap.run.completed", "schema_version": 1,
        "recorded_at": _LATER, "meta": {"actor": "runner"}, "data": {},
    },
    "ReplayRequest": {"from_step": _STEP, "version": "latest"},
    "Replay": {"id": _OTHER, "replay_of": _RUN, "position": 60},
    "BulkReplay": {"filter": _SELECTION, "rate_per_s": 50, "preview": False, "version": "latest"},
    "BulkCancel": {"filter": {"zap_id": _ZAP, "status": "waiting"}},
    "BulkRelease": {"rate_per_s": 50},
    "BulkDiscard": {"preview": True},
    "Preview": {"count": 17, "more": False},
    "Job": {
        "id": _OTHER, "kind": "replay", "status": "running", "filter": {"status": "failed"}, "from_step": None,
        "version": "latest", "rate_per_s": 50, "total": 17, "done": 5, "skipped": 0, "failed": 0, "problem": "",
        "requested_at": _AT, "updated_at": _LATER, "position": 70,
    },
    "DeadLetterGroup": {
        "id": _OTHER, "zap_id": _ZAP, "step_id": _STEP, "code": "http_500", "message": "the target answered 500",
        "run_id": _RUN, "state": "open", "count": 3, "resolved": 0, "recovered": 0, "told": 3, "first_at": _AT,
        "last_at": _LATER,
        "note": "", "filter": {"zap_id": _ZAP, "step_id": _STEP, "error_code": "http_500", "status": "failed"},
        "position": 71,
    },
    "ResolveRequest": {"count": 3},
    "NoteRequest": {"note": "the target is being repaired"},
    "DeadLetterChange": {"id": _OTHER, "position": 72},
    "RunRequest": {"payload": {"order": 17}, "idempotency": "order-17"},
    "ManualRun": {"run_id": _OTHER, "position": 73},
    "BacktestRequest": {"last": 1000, "rate_per_s": 100},
    "BacktestResults": {
        "summary": {
            "runs": 2, "same": 1, "different": 1, "diverging": 0,
            "statuses": [
                {"then": "completed", "now": "completed", "count": 1},
                {"then": "completed", "now": "filtered", "count": 1},
            ],
            "steps": [{"step_id": _STEP, "count": 1}],
        },
        "items": [
            {
                "run_id": _RUN, "verdict": "different",
                "then": {"status": "completed", "error": None, "reason": None, "path": [_STEP]},
                "now": {"status": "filtered", "error": None, "reason": "trigger.body.total exists: no", "path": []},
                "diff": [{"path": "status", "op": "replace", "before": "completed", "after": "filtered"}],
                "diverging": [], "cut": False,
            }
        ],
        "next_cursor": None,
    },
    "DraftTestRequest": {
        "sample": {"payload": {"title": "It breaks"}}, "effects": "stub",
        "stubs": {_STEP: {"status": 200, "body": {"ok": True}}},
    },
    "DraftTest": {
        "id": _OTHER, "position": 42, "sample_position": None,
        "steps": [
            {
                "id": _STEP, "kind": "action", "at": "steps.0", "parent": "", "branch": "", "why": "",
                "replayable": False, "status": "succeeded", "input": {"url": "https://example.org/inbox"},
                "output": {"status": 200, "body": {"ok": True}}, "error": None, "started_at": _AT,
                "finished_at": _AT, "duration_ms": 0, "waits_until": None, "postponed": None, "answered_by": "stub",
                "attempts": [{"attempt": 1, "started_at": _AT, "duration_ms": 0, "error": None, "retry_at": None}],
            }
        ],
        "outcome": {"status": "completed", "timed_out": False, "error": None, "reason": None},
    },
    "RunAnswer": {"run_id": _OTHER, "status": "completed", "value": {"refunded": True}, "error": None, "position": 75},
    "TemplatePreviewRequest": {
        "template": {"to": "{{ trigger.body.email | upcase }}"}, "sample": {"payload": {"email": "a@b.c"}},
    },
    "RenderedTemplate": {"value": {"to": "A@B.C"}, "type": "object", "error": None, "paths": ["trigger.body.email"]},
    "Health": {"status": "ok", "failing": []},
}  # fmt: skip

_EVENTS: Sequence[JsonObject] = (
    {"type": "run.requested", "position": 48, "at": _AT, "zap_id": _ZAP, "run_id": _RUN, "status": "queued",
     "zap_version": 1, "source": "webhook"},
    {"type": "run.step", "position": 49, "at": _LATER, "zap_id": _ZAP, "run_id": _RUN, "step_id": _STEP,
     "status": "failed", "attempt": 5, "duration_ms": 1250.0},
    {"type": "run.ended", "position": 50, "at": _LATER, "zap_id": _ZAP, "run_id": _RUN, "status": "failed",
     "step_id": _STEP, "error_code": "http_500"},
    {"type": "zap.changed", "position": 51, "at": _LATER, "zap_id": _ZAP, "change": "paused"},
)  # fmt: skip
STREAM = "retry: 1700\nid: 47\n\n" + "".join(
    f"id: {event['position']}\nevent: {event['type']}\ndata: {msgspec.json.encode(event).decode()}\n\n"
    for event in _EVENTS
) + ": heartbeat\nid: 58\n\n"  # fmt: skip
"""A stream of events."""
