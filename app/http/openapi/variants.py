"""Types of which one field decides what the others may be: the domain checks that, the document shows it as a union."""

from collections.abc import Mapping

import msgspec


class Variant(msgspec.Struct, frozen=True):
    """One of them: the fields that go with it."""

    name: str
    description: str
    fields: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


class Variants(msgspec.Struct, frozen=True):
    """`field` decides; `default` is its value when it is left out."""

    field: str
    default: str
    by_tag: Mapping[str, Variant]
    common: tuple[str, ...] = ()


VARIANTS: Mapping[str, Variants] = {
    "Concurrency": Variants("mode", "parallel", {
        "parallel": Variant("ParallelRuns", "Any number of runs, or `limit` actions, at a time.", ("limit",)),
        "serial": Variant("SerialRuns", "One run at a time, or one for each value of `key`.", ("key", "when_busy")),
    }),
    "Reply": Variants("mode", "immediate", {
        "immediate": Variant("ImmediateReply", "200 with the id of the run, as soon as the request is stored."),
        "custom": Variant("CustomReply", "A template, once the request is stored.", ("status", "headers", "body")),
        "wait": Variant("WaitingReply", "The outcome of the run, or 202 after `timeout_s`.", ("timeout_s",)),
    }),
    "Dedupe": Variants("from", "sender", {
        "sender": Variant("DedupeBySender", "The id that senders of this kind give, else an Idempotency-Key."),
        "header": Variant("DedupeByHeader", "The value of a header.", ("name",), ("name",)),
        "body": Variant("DedupeByBody", "The value at a path of the parsed body.", ("path",), ("path",)),
        "none": Variant("NoDedupe", "Each request is a delivery of its own."),
    }, common=("window_days",)),
}  # fmt: skip
