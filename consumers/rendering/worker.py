"""The process that renders: it takes a job, works on it within its limits, answers, and takes the next one.

Time is bounded twice: a signal ends a job after its share of CPU, and where that can't get through (one long call
into C), the kernel ends the process. Memory has a bound, too. Its parent may end it at any moment.
"""

import os
import resource
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import BinaryIO, Final, TypeVar

import msgspec
from liquid.exceptions import LiquidError

from consumers.rendering.frames import (
    HEAD,
    Answer,
    Check,
    Checked,
    Decide,
    Decided,
    Job,
    Render,
    Rendered,
    Shape,
    Shaped,
    TooMuch,
    Wrong,
    head,
)
from domain.connector.input_schema import violations
from domain.data.operation import Unfit
from domain.data.work import work as shaped
from domain.language import condition
from domain.language.spelling import as_json
from domain.language.template import TemplateError, TooMuchWork, parse, render, templates

CPU_S = 0.1
"""CPU time of one job."""
SHAPE_CPU_S = 1.0
"""The same of a data step."""
PARSE_CPU_S = 0.3
"""CPU time to parse the templates of a job; parsed ones are kept."""
MAX_MEMORY = 768 * 2**20
"""Address space of the process."""
LARGE = 256 * 1024
"""KiB of memory after which the process ends, to make room for a fresh one."""
NICE = 10
"""Heavy work waits for whoever has a little to do: the roles themselves, and the database."""
_LAST_WORD: Final = 3
"""The kernel ends the process after so many times the CPU time of a job."""

T = TypeVar("T")
_decoder: "msgspec.json.Decoder[Job]" = msgspec.json.Decoder(Job)


class _OutOfTime(BaseException):
    """Not an Exception, so that no handler swallows it."""


def main() -> None:
    """Serve jobs from standard input until it ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, _out_of_time)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    while not _is_large() and (frame := _read(sys.stdin.buffer)) is not None:
        body = as_json(_answer(frame)).encode()
        sys.stdout.buffer.write(head(body) + body)
        sys.stdout.buffer.flush()


def _read(source: BinaryIO) -> bytes | None:
    length = source.read(HEAD)
    return source.read(int.from_bytes(length)) if len(length) == HEAD else None


def _answer(frame: bytes) -> Answer:
    limit_s = PARSE_CPU_S
    try:
        job = _decoder.decode(frame)
        if isinstance(job, Render):
            _timed(PARSE_CPU_S, lambda: _parse(job))
        limit_s = SHAPE_CPU_S if isinstance(job, Shape) else CPU_S
        return _timed(limit_s, lambda: _work(job))
    except _OutOfTime:
        _stop_timers()
        return TooMuch(f"this takes more than {limit_s * 1000:g} ms of CPU time")
    except MemoryError:
        return TooMuch("this takes more memory than there is for it")


def _work(job: Job) -> Answer:
    try:
        match job:
            case Render():
                return Rendered(render(job.config, job.context, job.now))
            case Decide():
                return Decided(condition.explain(condition.load(job.condition), job.context))
            case Check():
                return Checked(tuple(violations(job.schema, job.value)))
            case Shape():
                return Shaped(shaped(job.operation, job.config, job.now))
    except TooMuchWork as error:
        return TooMuch(error.message)
    except TemplateError as error:
        return Wrong(error.message, error.path)
    except Unfit as error:
        return Wrong(str(error), "")


def _parse(job: Render) -> None:
    """Parse the templates first, so that parsing does not count as work."""
    for _place, text in templates(job.config):
        try:
            parse(text)
        except (LiquidError, RecursionError):  # the renderer names the place
            continue


def _timed(cpu_s: float, work: Callable[[], T]) -> T:
    """Raises _OutOfTime."""
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s * _LAST_WORD)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        return work()
    finally:
        _stop_timers()


def _stop_timers() -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _out_of_time(_signal: int, _frame: FrameType | None) -> None:
    raise _OutOfTime


def _peak() -> int:
    """The peak memory of the process in KiB; a new process starts with the peak of its parent."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _is_large() -> bool:
    return _peak() - _AT_START > LARGE


_AT_START: Final = _peak()


if __name__ == "__main__":
    main()
