"""The process that reads topics: one reading at a time, in memory and time that are bounded. It ends when it is idle.

What strangers' brokers send is taken apart here, and nowhere else. There is nothing in this process that is secret.
"""

import asyncio
import logging
import os
import resource
import select
import signal
import sys

import msgspec
from aiokafka.errors import BrokerResponseError, KafkaError

from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import refused
from consumers.rendering.frames import HEAD, head
from consumers.topics.frames import Answer, Job, NotRead, Read
from consumers.topics.guarded_loop import GuardedLoop
from consumers.topics.reading import Reading
from domain.connector.http_client import Unreachable
from domain.connector.topic import TopicReading

MAX_MEMORY = 768 * 2**20
"""Address space of the process."""
READING_S = 7.0
"""For a whole reading, connections included."""
IDLE_S = 60.0
NICE = 10
_decoder = msgspec.json.Decoder(Job)


def main() -> None:
    """Serve jobs from standard input until it ends, or none has come for a while."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()  # aiokafka's; the answer says what went wrong
    while select.select([sys.stdin], [], [], IDLE_S)[0]:
        length = sys.stdin.buffer.read(HEAD)
        if len(length) < HEAD:
            return
        body = msgspec.json.encode(_answer(sys.stdin.buffer.read(int.from_bytes(length))))
        sys.stdout.buffer.write(head(body) + body)
        sys.stdout.buffer.flush()


def _answer(frame: bytes) -> Answer:
    job = _decoder.decode(frame)
    loop = GuardedLoop(parse_networks(",".join(job.allowed)))
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return Read(runner.run(_read(job, loop)))
        except Exception as error:  # noqa: BLE001 - whatever strange bytes lead to, it is their sender's fault
            if loop.refused and not isinstance(error, Unreachable):
                error = refused(loop.refused)
            return _explained(error)


async def _read(job: Job, loop: GuardedLoop) -> TopicReading:
    async with asyncio.timeout(READING_S):
        return await Reading(job.request, lambda: loop.too_large).read()


def _explained(error: Exception) -> NotRead:
    """The class of failure. The texts stay general, because precise ones would make this a port scanner."""
    match error:
        case Unreachable():
            return NotRead(error.code, error.message)
        case TimeoutError():
            return NotRead("timeout", f"the brokers took more than {READING_S:g} s")
        case BrokerResponseError():
            return NotRead("kafka_error", f"a broker answered {error.message}")
        case KafkaError() | OSError():
            return NotRead("connect", "no broker could be reached, or none that speaks Kafka without password and TLS")
        case MemoryError():
            return NotRead("too_much", "the answer of a broker takes more memory than there is for it")
    return NotRead("not_kafka", "what answers there does not speak Kafka")


if __name__ == "__main__":
    main()
