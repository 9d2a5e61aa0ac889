"""The process that reads one document: with limits of memory and CPU time, and nothing to lose."""

import os
import resource
import sys

import msgspec

from consumers.importing.frames import Answer, Listed, Refused, Told, Wanted
from consumers.rendering.frames import HEAD, head
from domain.declared.check import BadFile, loaded
from domain.imported.document import Unusable, made

CPU_S = 30
MAX_MEMORY = 1_500 * 2**20
"""Address space of the process."""
NICE = 10


def main() -> None:
    """Read the wish and the document from standard input, and write the answer."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)
    length = int.from_bytes(sys.stdin.buffer.read(HEAD))
    wanted = sys.stdin.buffer.readline()
    content = sys.stdin.buffer.read(length - len(wanted))
    body = msgspec.json.encode(_answer(msgspec.json.decode(wanted, type=Wanted), content))
    sys.stdout.buffer.write(head(body) + body)
    sys.stdout.buffer.flush()


def _answer(wanted: Wanted, content: bytes) -> Answer:
    try:
        found = made(content, wanted.wish)
        loaded(msgspec.to_builtins(found.file))
    except Unusable as error:
        return Refused(str(error), [dict(one) for one in error.errors])
    except BadFile as error:
        return Refused(str(error), [mistake.as_json() for mistake in error.mistakes])
    except (MemoryError, RecursionError):
        return Told("the document takes more memory than there is for it")
    return Listed(found.file, found.operations)


if __name__ == "__main__":
    main()
