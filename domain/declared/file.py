"""The file of a connector: what stands in it, as structs. What is written here is the format's documentation."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta
from msgspec import UnsetType as Unset

from domain.values.json import Json, JsonObject  # noqa: F401 - JsonObject stands for a type that names Json

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,49}\Z", description="small letters, digits and _")]
Operation = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_./-]{0,199}\Z")]
Version = Annotated[str, Meta(pattern=r"^[0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5}\Z", description="such as 1.0.0")]
Words = Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"^[^\x00]*\Z")]
FieldType: TypeAlias = Literal["string", "integer", "number", "boolean", "object", "array", "any"]
Effect: TypeAlias = Literal["read", "create", "update", "delete"]
Kind: TypeAlias = Literal["none", "bearer", "api_key", "basic", "oauth2", "custom"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file."""


class Connection(_Part, frozen=True, kw_only=True):
    """How calls are authorized. `kinds`: others that work as well. `test`: a call that fails with a wrong credential.

    `in` and `name` of an API key, the addresses and `scopes` of OAuth 2.0 are what a new connection starts with;
    `help` says where a user gets the credential.
    """

    kind: Kind
    kinds: tuple[Kind, ...] = ()
    required: bool = True
    in_: Literal["header", "query", "path"] | Unset = msgspec.field(default=UNSET, name="in")
    name: str | Unset = UNSET
    authorize_url: str | Unset = UNSET
    token_url: str | Unset = UNSET
    scopes: tuple[str, ...] = ()
    help: Words | Unset = UNSET
    test: "Request | Unset" = UNSET


class Limits(_Part, frozen=True, kw_only=True):
    """What the service allows, for people to read: `rate: 5/s`, `per: base`."""

    rate: Words
    per: Words | Unset = UNSET
    note: Words | Unset = UNSET


class When(_Part, frozen=True, kw_only=True):
    """Which answers are meant: all that is given has to hold. `body`: values by path."""

    status: int | tuple[int, ...] | Unset = UNSET
    body: dict[str, Json] | Unset = UNSET
    header: dict[str, str] | Unset = UNSET


class Field(_Part, frozen=True, kw_only=True):
    """One field of an action's form. `choices` names where its values come from, which may depend on other fields."""

    type: FieldType = "string"
    title: Words | Unset = UNSET
    description: Words | Unset = UNSET
    required: bool = False
    default: Json | Unset = UNSET
    example: Json | Unset = UNSET
    enum: tuple[Json, ...] | Unset = UNSET
    choices: Name | Unset = UNSET
    depends_on: tuple[str, ...] = ()
    items: dict[str, Json] | Unset = UNSET
    properties: dict[str, Json] | Unset = UNSET
    minimum: float | Unset = UNSET
    maximum: float | Unset = UNSET
    min_length: Annotated[int, Meta(ge=0)] | Unset = UNSET
    max_length: Annotated[int, Meta(ge=1)] | Unset = UNSET
    max_items: Annotated[int, Meta(ge=1)] | Unset = UNSET
    pattern: str | Unset = UNSET
    format: str | Unset = UNSET


class Request(_Part, frozen=True, kw_only=True):
    """One call. Every text may hold `{{ input.name }}`; what is one of an absent field is left out, and so is an object
    whose `$if` is one.

    `path` holds `{name}` of required fields: their values are one segment each. `url` instead of it: a whole address
    that a field gives, whose host is one of the connector's `hosts`.
    `multipart`: the fields of a form, of which some are files; `binary`: the field that is the file.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str | Unset = UNSET
    url: str | Unset = UNSET
    query: dict[str, Json] = {}
    headers: dict[str, Json] = {}
    json: Json | Unset = UNSET
    form: dict[str, Json] | Unset = UNSET
    text: str | Unset = UNSET
    multipart: dict[str, Json] | Unset = UNSET
    binary: str | Unset = UNSET
    timeout_s: Annotated[float, Meta(gt=0, le=300)] | Unset = UNSET


class ErrorRule(_Part, frozen=True, kw_only=True):
    """What becomes of an answer: rules are tried in order, before a 2xx counts as success.

    `code` and `message` are paths of the answer's body; `retry_after` is one of seconds. `reconnect`: the credential
    is not accepted any more. `read`, of an action's own rule: the call whose answer counts instead, such as of what an
    attempt before has made.
    """

    when: When
    outcome: Literal["retry", "fail", "reconnect", "succeed"]
    code: str | Unset = UNSET
    message: str | Unset = UNSET
    retry_after: str | Unset = UNSET
    read: Request | Unset = UNSET


class Output(_Part, frozen=True, kw_only=True):
    """What later steps see: the value at a path of the answer's body, or all of it. `sample` is one such value."""

    pick: str | Unset = UNSET
    sample: Json
    response: Literal["auto", "json", "text", "binary"] = "json"
    max_bytes: Annotated[int, Meta(ge=1, le=10 * 2**20)] | Unset = UNSET


class Page(_Part, frozen=True, kw_only=True):
    """How the next page is asked for: `next` is the path of the cursor in the answer, `param` a query parameter."""

    next: str
    param: str = "cursor"
    more: str | Unset = UNSET


class Parameter(_Part, frozen=True, kw_only=True):
    """A parameter of an imported operation, as OpenAPI describes how it is written."""

    name: str
    in_: Literal["path", "query", "header"] = msgspec.field(name="in")
    style: Literal["form", "simple", "spaceDelimited", "pipeDelimited", "deepObject", "label", "matrix"] = "form"
    explode: bool = True
    reserved: bool = False
    json_: bool = msgspec.field(default=False, name="json")


class Imported(_Part, frozen=True, kw_only=True):
    """The call of an imported operation. `server`: its own address, where that is not base_url. `body`: its media
    type, empty for none.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
    path: str
    server: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: str = ""


class Action(_Part, frozen=True, kw_only=True):
    """What a step can do. `effect`: what it does at the service. `idempotency`: how a repeat is recognised there.

    That is `none`, `header:NAME`, or `field:path` where a field carries the key: `{{ key }}`, or `{{ short_key }}` with
    24 characters; a field of `input` of that name has it in 32 hex digits where it is not set. Either `input` and
    `request` describe it, or, for imported operations, `schema` and `operation`.
    """

    name: Words
    description: Words | Unset = UNSET
    effect: Effect = "create"
    idempotency: Annotated[str, Meta(pattern=r"^(none|header:[A-Za-z0-9-]+|field:[A-Za-z0-9_.]+)\Z")] = "none"
    docs_url: str | Unset = UNSET
    tags: tuple[str, ...] = ()
    input: dict[Name, Field] = {}
    request: Request | Unset = UNSET
    schema: dict[str, Json] | Unset = UNSET
    operation: Imported | Unset = UNSET
    errors: tuple[ErrorRule, ...] = ()
    output: Output | Unset = UNSET
    example: dict[str, Json] | Unset = UNSET
    scopes: tuple[str, ...] = ()


class Choice(_Part, frozen=True, kw_only=True):
    """Values for a field, asked for while somebody fills in the form: one page at a time.

    `{{ search }}` and `{{ cursor }}` stand in the request, beside the input that they depend on.
    """

    request: Request
    items: str = ""
    value: str
    label: str | Unset = UNSET
    hint: str | Unset = UNSET
    page: Page | Unset = UNSET
    depends_on: tuple[str, ...] = ()


class Listed(_Part, frozen=True, kw_only=True):
    """Where a service lists its hooks: `items` is the path of the list, or of its only one, `url` and `id` are those in
    one of them. `inside`: where in each of the list the hooks are, if it is a list of what has some.
    """

    request: Request
    items: str = ""
    inside: str = ""
    url: str
    id: str


class Register(_Part, frozen=True, kw_only=True):
    """How the service is told of a zap's hook, so that nobody has to do that by hand.

    `create` may hold `{{ input.name }}`, `{{ hook.url }}`, `{{ hook.name }}`, which is the zap's own, and
    `{{ hook.secret }}`, which we choose; `secret` is the path of one that the service chooses and answers. `id`: that
    of its name for the hook, which the path of `remove` has as `{hook_id}`; without it, it is the hook's name.
    `find` is how hooks are found again: of an attempt that nobody knows the end of, and of one that got lost there.
    Where its `id` is its `url`, the service has one hook, which is known by its address.
    """

    input: dict[Name, Field] = {}
    create: Request
    id: str | Unset = UNSET
    secret: str | Unset = UNSET
    find: Listed
    remove: Request


class Since(_Part, frozen=True, kw_only=True):
    """Where in an item its time or number is, of which the request may have the greatest one as `{{ cursor }}`."""

    path: str
    overlap_s: Annotated[int, Meta(ge=0, le=86_400)] = 0


class Following(_Part, frozen=True, kw_only=True):
    """Where the answer has the token of the next page, and which query parameter, or field `in` the body, takes it."""

    token: str
    param: str
    in_: Literal["query", "body"] = msgspec.field(default="query", name="in")


class Polled(_Part, frozen=True, kw_only=True):
    """How the service is asked for what is new, where it does not tell: as `http.poll` does it.

    `items` is the path of the list, `key` that of what never changes of an item, `changed_by` those of what makes it
    new again. `rows: header`: items are lists of cells, the first of which names them. `detail`: of what is new, the
    whole is at this path below base_url, which holds `{name}` of fields of an item.
    """

    input: dict[Name, Field] = {}
    request: Request
    items: str = ""
    rows: Literal["objects", "header"] = "objects"
    key: str = "id"
    changed_by: tuple[str, ...] = ()
    cursor: Since | Unset = UNSET
    next_page: Following | Unset = UNSET
    detail: str | Unset = UNSET
    order: Literal["newest_first", "oldest_first"] = "newest_first"
    every_s: Annotated[int, Meta(ge=10, le=86_400)] = 300
    max_items: Annotated[int, Meta(ge=1, le=10_000)] = 200


class Preset(_Part, frozen=True, kw_only=True):
    """How the service starts a zap: a `webhook.catch` with these settings, and bodies such as it sends.

    `setup` says what a user has to do at the service; `register` does it instead, where the service lets us.
    With `poll` it is no hook: the service is asked.
    """

    name: Words
    description: Words | Unset = UNSET
    config: dict[str, Json] = {}
    events: tuple[str, ...] = ()
    setup: Words | Unset = UNSET
    register: Register | Unset = UNSET
    poll: Polled | Unset = UNSET
    samples: dict[str, Json] = {}


class ConnectorFile(_Part, frozen=True, kw_only=True):
    """A connector. A file never changes under its `version`; zaps pin `connector@version`."""

    connector: Name
    version: Version
    name: Words
    description: Words | Unset = UNSET
    icon: Annotated[str, Meta(max_length=50)] = "plug"
    docs_url: str | Unset = UNSET
    base_url: str
    hosts: tuple[str, ...] = ()
    connection: Connection = Connection(kind="none")
    headers: dict[str, Json] = {}
    limits: Limits | Unset = UNSET
    errors: tuple[ErrorRule, ...] = ()
    actions: dict[Operation, Action] = {}
    choices: dict[Name, Choice] = {}
    triggers: dict[Name, Preset] = {}
