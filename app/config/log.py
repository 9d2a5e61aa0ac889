"""Logging: one structlog set-up for all processes, to standard error, with secrets redacted.

The libraries log through the standard library; their records take the same path from WARNING up.
"""

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.config.parsers import LogFormat
from app.config.settings import Secret
from domain.values.redaction import REDACTED, may_be_secret

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls but tab and line feed, line separators, marks that change the direction of writing, halves of pairs."""


class Unread:
    """A stream whose reader may be gone, such as a closed terminal: what nobody reads is no reason to fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As the stream does it, where it can."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As the stream does it, where it can."""
        with suppress(OSError, ValueError):
            self._stream.flush()


def configure(role: str, level: str, log_format: LogFormat) -> None:
    """Set up logging for this process; `role` is a key on every line."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_role(role),
        redact,
        structlog.processors.StackInfoRenderer(),
    ]
    renderer = _renderers(log_format)
    output = cast(TextIO, Unread(sys.stderr))
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(output),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, _number(level)), force=True)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Structlog processor: redacts values of type Secret, and values under keys that name a secret."""
    return {key: _cleaned(key, value) for key, value in event.items()}


def _cleaned(key: str, value: object) -> object:
    if isinstance(value, Secret) or (may_be_secret(key) and value is not None):
        return REDACTED
    if key == "exc_info" or key.startswith("_"):  # structlog's own, of exact types
        return value
    if isinstance(value, Mapping):
        return {k: _cleaned(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned("", item) for item in value]
    return value


def _add_role(role: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("role", role)
        return event

    return add


def _renderers(log_format: LogFormat) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    return [structlog.processors.format_exc_info, _printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]


def printable(text: str) -> str:
    """A text of strangers, fit for a terminal: escape sequences and what turns the line around are spelt out."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {printable(str(key)): _spelt_out(key, value) for key, value in event.items()}


def _spelt_out(key: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float) or key.startswith("_"):
        return value
    return printable(value if isinstance(value, str) else repr(value))


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]
