"""What answers of models cost, by the user's own prices, and what a zap has spent this month."""

from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.connector.descriptor import ActionContext
from domain.connector.outcome import Failed, Outcome, Retry
from domain.log.ports import StoreUnavailable
from domain.memory.changes import Add, Unremembered
from domain.memory.memory import Place

KEPT_S = 62 * 86_400
"""How long the sum of a month stays."""
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


async def beyond(budget: float, context: ActionContext) -> Outcome | None:
    """Why nothing more may be asked this month (UTC); None where it may."""
    now = context.clock().astimezone(UTC)
    try:
        stored = await context.memory.get(_place(now))
    except StoreUnavailable:
        return Retry(code="store_unavailable", message="what this zap has spent can't be read now")
    units = stored.value if stored else 0
    if not isinstance(units, int):
        return Failed(code="not_a_number", message=f"the zap remembers no whole number as {_place(now).key}: delete it")
    spent = units * _UNIT
    if spent < Decimal(repr(budget)):
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
    units = int((cost / _UNIT).to_integral_value(ROUND_CEILING))
    operation = f"{context.idempotency_key}.{sha256(answer_id.encode('utf-8', 'replace')).hexdigest()[:32]}"
    try:
        await context.memory.change(_place(context.clock().astimezone(UTC)), Add(units, KEPT_S), operation)
    except Unremembered as error:
        return Failed(code=error.code, message=f"what the answer cost can't be kept: {error}")
    except StoreUnavailable:
        return None
    return None


def _place(now: datetime) -> Place:
    return Place("zap", f"llm.spent {now:%Y-%m}")
