"""The schemas of the document: what msgspec says of our types, made as exact as what the API takes."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from app.http.inputs import AsOf, Moment
from app.http.openapi.notes import Doc
from app.http.openapi.variants import VARIANTS, Variants
from domain.connection.kinds import Setup
from domain.connector.catalog import Catalog
from domain.hook.config import HookConfig
from domain.language.operators import OPERATORS
from domain.values.shapes import ecma

REF = "#/components/schemas/"
_NAMES: Mapping[str, str] = {
    "ApprovalOut": "Approval", "ZapIn": "ZapInput", "ZapOut": "Zap", "ZapChange": "ZapUpdate", "Draft": "ZapDraft",
    "VersionOut": "ZapVersion", "EventOut": "Event",
    "ReplayIn": "ReplayRequest", "ReplayOut": "Replay", "RegistrationOut": "Registration",
    "SelectionIn": "RunSelection", "SecretsIn": "HookSecrets",
    "HookConfig": "WebhookConfig", "ReplyConfig": "Reply", "DedupeConfig": "Dedupe", "RunListItem": "RunSummary",
    "RunDetail": "Run", "StepDetail": "RunStep", "ZapListItem": "ZapSummary", "JobListItem": "Job",
    "RequestListItem": "HookRequest", "DeadLetters": "DeadLetterGroup", "Told": "Alert", "Flag": "ZapFlag",
    "ProblemDetails": "Problem", "Unverified": "NoVerification", "RollBack": "RollbackRequest", "Note": "NoteRequest",
    "Resolve": "ResolveRequest", "Branch": "PathsBranch", "Steps": "StepList",
    "TickListItem": "Tick", "TriggerPreviewIn": "TriggerPreviewRequest",
    "RunIn": "RunRequest", "PreviewIn": "TemplatePreviewRequest",
    "Sample": "TemplateSample", "Filtered": "FilterDecision", "Taken": "PathsDecision",
    "BacktestIn": "BacktestRequest", "Comparison": "BacktestResult", "Course": "BacktestRun",
    "TestIn": "DraftTestRequest", "TestSample": "DraftTestSample", "TestedDraft": "DraftTest",
    "TestOutcome": "DraftTestOutcome", "Refresh": "RefreshRequest",
    "PublishIn": "PublishRequest", "Checked": "DefinitionCheck",
    "ConnectionIn": "NewConnection", "ConnectionOut": "Connection", "ConnectionChange": "ConnectionUpdate",
    "NewConnectionOut": "CreatedConnection", "ConnectionTestIn": "ConnectionTestRequest",
    "Reach": "HostsSetup", "ApiKeyConfig": "ApiKeySetup", "BasicConfig": "BasicSetup", "OAuth2Config": "OauthSetup",
    "OAuth2Secrets": "OauthSecrets", "SmtpConfig": "SmtpSetup", "ImapConfig": "ImapSetup",
    "PostgresConfig": "PostgresSetup",
    "VariableIn": "NewVariable", "VariableOut": "Variable",
    "Entry": "AuditEntry", "From": "AuditVia", "Actor": "AuditActor", "Entity": "AuditEntity", "KeyUsed": "AuditKey",
    "SessionOut": "Session", "AccessOut": "SessionAccess", "Changed": "DeadLetterChange",
}  # fmt: skip
"""Names that clients see, where ours are for ourselves."""


_ID: Doc = {"type": "string", "format": "uuid"}


class Schemas:
    """All schemas of the types that the routes use."""

    def __init__(self, types: Sequence[Any], catalog: Catalog) -> None:
        types = [*types, HookConfig]
        found, components = msgspec.json.schema_components(types, ref_template=REF + "{name}", schema_hook=_own)
        _mark_moments(components, types)
        self._of = {repr(wanted): _cleaned(schema) for wanted, schema in zip(types, found, strict=True)}
        self.components = {_name(name): _cleaned(schema) for name, schema in components.items()}
        _add_conditions(self.components)
        _add_triggers(self.components, catalog)
        _add_variants(self.components)
        _add_setups(self.components)

    def of(self, wanted: Any) -> Doc:
        """The schema of one of the types."""
        found: Doc = self._of[repr(wanted)]
        return found


def _own(wanted: type) -> Doc:
    if wanted in (Moment, AsOf):
        times: list[Doc] = [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]
        return {"anyOf": times if wanted is Moment else [*times, {"type": "integer", "minimum": 0}]}
    raise NotImplementedError


def _cleaned(schema: Any) -> Any:
    """The same, as ECMA 262 and other languages spell it."""
    if isinstance(schema, list):
        return [_cleaned(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    cleaned = {key: _cleaned(value) for key, value in schema.items()}
    if isinstance(cleaned.get("title"), str):
        del cleaned["title"]
    if isinstance(cleaned.get("default"), dict):
        del cleaned["default"]  # the fields inside have their own
    if cleaned == {"type": "object"}:
        cleaned["additionalProperties"] = True
    if "enum" in cleaned and "type" not in cleaned and _all_text(cleaned["enum"]):
        cleaned["type"] = "string"
    return _with_names(_with_texts(cleaned))


def _with_texts(schema: Doc) -> Doc:
    if isinstance(schema.get("pattern"), str):
        schema["pattern"] = ecma(schema["pattern"])
    if isinstance(schema.get("description"), str):
        schema["description"] = inspect.cleandoc(schema["description"])
    return schema


def _with_names(schema: Doc) -> Doc:
    if "discriminator" in schema and "anyOf" in schema:
        schema["oneOf"] = schema.pop("anyOf")
    if isinstance(schema.get("$ref"), str):
        schema["$ref"] = _renamed(schema["$ref"])
    if isinstance(schema.get("mapping"), dict):
        schema["mapping"] = {tag: _renamed(where) for tag, where in schema["mapping"].items()}
    return schema


def _all_text(choices: Any) -> bool:
    return isinstance(choices, list) and all(isinstance(choice, str) for choice in choices)


def _renamed(reference: str) -> str:
    return REF + _name(reference.removeprefix(REF))


def _name(name: str) -> str:
    if page := re.fullmatch(r"Page_(.+)_", name):
        return _name(page[1]) + "Page"
    return _NAMES.get(name, name)


def _mark_moments(components: dict[str, Any], types: Sequence[Any]) -> None:
    """Times are texts to msgspec unless their zone is declared; all of ours are RFC 3339."""
    structs = list(_structs(types))
    schemas, _ = msgspec.json.schema_components([one.cls for one in structs], ref_template="{name}", schema_hook=_own)
    for struct, schema in zip(structs, schemas, strict=True):
        name = str(schema.get("$ref", ""))
        for field in struct.fields:
            if name in components and _has_moment(field.type):
                _set_format(components[name]["properties"][field.encode_name])


def _structs(types: Sequence[Any]) -> "Iterator[msgspec.inspect.StructType]":
    todo: list[Any] = list(msgspec.inspect.multi_type_info(types))
    seen: set[type] = set()
    while todo:
        found = todo.pop()
        if isinstance(found, msgspec.inspect.StructType):
            if found.cls in seen:
                continue
            seen.add(found.cls)
            todo.extend(field.type for field in found.fields)
            yield found
        else:
            todo.extend(_inner(found))


def _inner(found: Any) -> list[Any]:
    inner = [getattr(found, name, None) for name in ("item_type", "value_type", "type")]
    return [*getattr(found, "types", ()), *getattr(found, "item_types", ()), *(one for one in inner if one is not None)]


def _has_moment(found: Any) -> bool:
    return isinstance(found, msgspec.inspect.DateTimeType) or (
        not isinstance(found, msgspec.inspect.StructType) and any(_has_moment(inner) for inner in _inner(found))
    )


def _set_format(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("type") == "string":
            schema["format"] = "date-time"
        for inner in schema.values():
            _set_format(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _set_format(inner)


def _add_triggers(components: dict[str, Any], catalog: Catalog) -> None:
    """A trigger has the configuration of its type."""
    webhooks = [name for name in catalog.triggers if name.startswith("webhook.")]
    others = [name for name in catalog.triggers if name not in webhooks]
    mapping: dict[str, str] = {}
    for name in [*webhooks, *others]:
        variant = "".join(part.capitalize() for part in re.split(r"[._]", name)) + "Trigger"
        config = {"$ref": REF + "WebhookConfig"} if name in webhooks else {"type": "object"}
        components[variant] = {
            "type": "object",
            "description": catalog.triggers[name].description,
            "properties": {"type": {"const": name, "type": "string"}, "config": config, "connection": _ID},
            "required": ["type"],
            "additionalProperties": False,
        }
        mapping[name] = REF + variant
    components["Trigger"] = {
        "description": components["Trigger"]["description"],
        "oneOf": [{"$ref": where} for where in mapping.values()],
        "discriminator": {"propertyName": "type", "mapping": mapping},
    }


def _add_conditions(components: dict[str, Any]) -> None:
    """The filter of a webhook is written as JSON, and read by the domain."""
    condition = {"$ref": REF + "Condition"}
    several = {"type": "array", "items": condition, "minItems": 1, "maxItems": 100}
    components["WebhookConfig"]["properties"]["filter"] = condition
    for holder in ("FilterStep", "PathsBranch"):
        components[holder]["properties"]["condition"] = condition
    components["Condition"] = {
        "description": "A rule, or rules put together: all of them, any of them, or not.",
        "oneOf": [{"$ref": REF + name} for name in ("AllOf", "AnyOf", "NotOf", "Rule")],
    }
    for name, key, inner, words in (
        ("AllOf", "all", several, "Holds when every part holds."),
        ("AnyOf", "any", several, "Holds when one part holds."),
        ("NotOf", "not", condition, "Holds when its part does not."),
    ):
        components[name] = _closed({key: inner}, [key], words)
    operators = {"type": "string", "enum": sorted(OPERATORS)}
    field = {"type": "string", "description": "A path such as trigger.body.amount"}
    components["Rule"] = _closed(
        {"field": field, "operator": operators, "value": {"description": "What the field is compared with"}},
        ["field", "operator"],
        "Compares one field of the request.",
    )


def _add_setups(components: dict[str, Any]) -> None:
    """A connection is set up with what its kind needs; the domain checks that."""
    (union,), parts = msgspec.json.schema_components([Setup], ref_template=REF + "{name}")
    base = components["NewConnection"]
    mapping: dict[str, str] = {}
    for kind, where in union["discriminator"]["mapping"].items():
        setup = _cleaned(parts.pop(where.removeprefix(REF)))
        name = f"New{''.join(word.capitalize() for word in re.findall('[a-z]+', kind))}Connection"
        fields = {"name": base["properties"]["name"]} | setup["properties"]
        components[name] = _closed(fields, ["name", *setup["required"]], setup["description"])
        mapping[kind] = REF + name
    components |= {_name(name): _cleaned(schema) for name, schema in parts.items()}
    components["NewConnection"] = {
        "description": base["description"],
        "oneOf": [{"$ref": where} for where in mapping.values()],
        "discriminator": {"propertyName": "kind", "mapping": mapping},
    }


def _closed(properties: Doc, required: list[Any], description: str) -> Doc:
    return {"type": "object", "description": description, "properties": properties, "required": required,
            "additionalProperties": False}  # fmt: skip


def _add_variants(components: dict[str, Any]) -> None:
    """Unions where one field decides, and a step's `kind`, which may be left out for an action."""
    for name, variants in VARIANTS.items():
        components |= _split(name, components[name], variants)
    action = components["ActionStep"]
    action["required"].remove("kind")
    action["properties"]["kind"] |= {"default": "action"}
    delay = components["DelayStep"]
    delay["oneOf"] = [{"required": ["for_s"]}, {"required": ["until"]}]


def _split(name: str, base: dict[str, Any], variants: Variants) -> dict[str, Any]:
    """One schema per value of the field that decides which others there may be."""
    made: dict[str, Any] = {}
    mapping: dict[str, str] = {}
    for tag, variant in variants.by_tag.items():
        properties = {field: base["properties"][field] for field in (*variant.fields, *variants.common)}
        is_default = tag == variants.default
        decides = {"type": "string", "const": tag} | ({"default": tag} if is_default else {})
        required = [*([] if is_default else [variants.field]), *variant.required]
        made[variant.name] = _closed({variants.field: decides} | properties, required, variant.description)
        mapping[tag] = REF + variant.name
    return made | {
        name: {
            "description": base["description"],
            "oneOf": [{"$ref": where} for where in mapping.values()],
            "discriminator": {"propertyName": variants.field, "mapping": mapping},
        }
    }
