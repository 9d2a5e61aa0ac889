"""What answers of models cost, by the user's own prices, and what a zap has spent this month."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from hashlib import sha256
from secrets import token_hex
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.connector.descriptor import ActionContext
from domain.connector.outcome import Failed, Outcome, Postponed, Retry
from domain.log.ports import StoreUnavailable
from domain.memory.changes import Add, Unremembered
from domain.memory.memory import Place
from domain.values.json import Json

KEPT_S = 62 * 86_400
"""How long the sum of a month stays."""
SPAN_S = 300
"""Questions are counted by spans of so many seconds, of which one may reach into the next: none takes as long."""
SOON_S = 5.0
"""When a question is asked again for which others may leave nothing."""
_UNIT = Decimal("1e-9")
"""Of the currency: what is spent is kept as a whole number of these, rounded up, since JSON's numbers are binary."""


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a million tokens, in any one currency."""

    input: Annotated[float, Meta(title="A million tokens read", ge=0, le=1e6)]
    output: Annotated[float, Meta(title="A million tokens written", ge=0, le=1e6)]

    def cost(self, tokens_read: int, tokens_written: int) -> Decimal:
        """Exact: a price counts as it is written, 0.15 as 15 hundredths."""
        read, written = Decimal(repr(self.input)), Decimal(repr(self.output))
        return (tokens_read * read + tokens_written * written).scaleb(-6)


def plain(amount: Decimal) -> str:
    """As people write it: 0.00012, not 1.2E-4."""
    return format(amount.normalize(), "f")


class Held(msgspec.Struct, frozen=True):
    """What a question that is under way may cost at most, and where it is remembered until its answer is billed."""

    place: Place
    units: int


async def hold(budget: float, most: Decimal, context: ActionContext, *, is_first: bool) -> Held | Outcome:
    """Remember that a question is under way; or why nothing may be asked now, or this month (UTC).

    What others may take while they are under way counts as spent, unless this step has an answer already. A question
    that nobody knows the end of is forgotten with its span.
    """
    now = context.clock().astimezone(UTC)
    held = Held(_under_way(now.timestamp()), _units(most))
    try:
        told = await context.memory.change(held.place, Add(held.units, 3 * SPAN_S), f"llm.{token_hex(16)}")
        before = await context.memory.get(_under_way(now.timestamp() - SPAN_S))
        others = _count(told.get("value")) - held.units + _count(before.value if before else 0)
        why = await _beyond(budget, max(0, others) if is_first else 0, now, context)
    except StoreUnavailable:
        return Retry(code="store_unavailable", message="what this zap has spent can't be read now")
    except Unremembered as error:
        return Failed(code=error.code, message=f"what the answer may cost can't be kept: {error}")
    if why:
        await release(held, context)
    return why or held


async def release(held: Held, context: ActionContext) -> None:
    """Its answer is billed, or there is none."""
    with suppress(StoreUnavailable, Unremembered):
        await context.memory.change(held.place, Add(-held.units, 3 * SPAN_S), f"llm.{token_hex(16)}")


async def _beyond(budget: float, others: int, now: datetime, context: ActionContext) -> Outcome | None:
    stored = await context.memory.get(_place(now))
    units = stored.value if stored else 0
    if not isinstance(units, int):
        return Failed(code="not_a_number", message=f"the zap remembers no whole number as {_place(now).key}: delete it")
    spent, limit = units * _UNIT, Decimal(repr(budget))
    if spent < limit <= spent + others * _UNIT:
        message = f"other steps of this zap are asking, and may spend what is left of {budget:g}: it waits for these"
        return Postponed(code="budget_in_use", message=message, after_s=SOON_S)
    if spent < limit:
        return None
    until = f"{now.year + now.month // 12}-{now.month % 12 + 1:02}-01T00:00:00Z"
    message = (
        f"{plain(spent)} of {budget:g} is spent this month, so the model was not asked; it is from {until} on. "
        "Raise monthly_budget to go on now, and replay the runs that failed"
    )
    told = {"spent": plain(spent), "until": until}
    return Failed(code="budget_spent", message=message, output={**told, "monthly_budget": budget})


async def spend(cost: Decimal, answer_id: str, context: ActionContext) -> Failed | None:
    """Add what an answer of this step cost, each answer once; what keeps it from being added.

    Where the database is away it is not added: to ask again would cost the same again.
    """
    operation = f"{context.idempotency_key}.{sha256(answer_id.encode('utf-8', 'replace')).hexdigest()[:32]}"
    try:
        await context.memory.change(_place(context.clock().astimezone(UTC)), Add(_units(cost), KEPT_S), operation)
    except Unremembered as error:
        return Failed(code=error.code, message=f"what the answer cost can't be kept: {error}")
    except StoreUnavailable:
        return None
    return None


def _place(now: datetime) -> Place:
    return Place("zap", f"llm.spent {now:%Y-%m}")


def _under_way(at: float) -> Place:
    return Place("zap", f"llm.under_way {int(at) // SPAN_S}")


def _units(cost: Decimal) -> int:
    return int((cost / _UNIT).to_integral_value(ROUND_CEILING))


def _count(value: Json) -> int:
    """Zero for what a step of the user's has put there."""
    return value if isinstance(value, int) else 0
