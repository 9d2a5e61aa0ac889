"""The process that speaks with servers: one dialogue at a time, in memory and time that are bounded. It ends when idle.

What strangers' servers send is taken apart here, and nowhere else. Nothing in this process is secret but the account
of the dialogue under way.
"""

import asyncio
import logging
import os
import re
import resource
import select
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import assert_never

import msgspec
from aiokafka.errors import BrokerResponseError, KafkaError

from consumers.dialogues.frames import Answer, Failure, Job
from consumers.dialogues.kafka_loop import KafkaLoop
from consumers.outbound.addresses import parse_networks
from consumers.outbound.client import refused
from consumers.outbound.guarded_loop import GuardedLoop
from consumers.rendering.frames import HEAD, head
from domain.connector.http_client import Unreachable
from domain.dialogue.questions import MailboxRequest, MailToSend, Question, SqlQuery, TopicMessage
from domain.dialogue.topic import TopicRequest
from domain.values.charset import unescaped
from domain.values.json import Json

MAX_MEMORY = 768 * 2**20
"""Address space of the process."""
READING_S = 7.0
"""For a whole reading of a topic, connections included."""
IDLE_S = 60.0
NICE = 10
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of surrogates that stand for no byte."""
_decoder = msgspec.json.Decoder(Job)


def main() -> None:
    """Serve jobs from standard input until it ends, or none has come for a while."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()  # the clients'; the answer says what went wrong
    while select.select([sys.stdin], [], [], IDLE_S)[0]:
        length = sys.stdin.buffer.read(HEAD)
        if len(length) < HEAD:
            return
        body = encoded(_answer(sys.stdin.buffer.read(int.from_bytes(length))))
        sys.stdout.buffer.write(head(body) + body)
        sys.stdout.buffer.flush()


def encoded(answer: Answer) -> bytes:
    """The answer as JSON, where no bytes can stand that are no text: clients hand them on as halves of surrogates."""
    try:
        return msgspec.json.encode(answer)
    except UnicodeEncodeError:
        return msgspec.json.encode(_readable(msgspec.to_builtins(answer)))


def _readable(value: Json) -> Json:
    match value:
        case str():
            return unescaped(_NO_BYTE.sub("\ufffd", value))
        case dict():
            return {str(_readable(name)): _readable(inner) for name, inner in value.items()}
        case list():
            return [_readable(inner) for inner in value]
    return value


def _answer(frame: bytes) -> Answer:
    job = _decoder.decode(frame)
    speaks_kafka = isinstance(job.question, TopicRequest | TopicMessage)
    loop = (KafkaLoop if speaks_kafka else GuardedLoop)(parse_networks(",".join(job.allowed)))
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return runner.run(_spoken(job, loop))
        except Exception as error:  # noqa: BLE001 - whatever strange bytes lead to, it is their sender's fault
            if loop.refused and not isinstance(error, Unreachable):
                error = refused(loop.refused)
            return _explained(error, "Kafka" if speaks_kafka else "")


async def _spoken(job: Job, loop: GuardedLoop) -> Answer:
    question = job.question
    speech = _speech(question, loop)
    async with asyncio.timeout(READING_S if isinstance(question, TopicRequest) else question.timeout_s):
        return await speech()


def _speech(question: Question, loop: GuardedLoop) -> Callable[[], Awaitable[Answer]]:
    """What speaks a protocol. Each is imported when it is first spoken, as most processes meet one of them."""
    match question:
        case TopicRequest():
            from consumers.dialogues.reading import Reading

            assert isinstance(loop, KafkaLoop)
            return Reading(question, lambda: loop.too_large).read
        case TopicMessage():
            from consumers.dialogues.writing import write

            return partial(write, question)
        case MailToSend():
            from consumers.dialogues.sending import send

            return partial(send, question)
        case MailboxRequest():
            from consumers.dialogues.mailbox import look

            return partial(look, question, loop)
        case SqlQuery():
            from consumers.dialogues.querying import query

            return partial(query, question)
        case _:
            assert_never(question)


def _explained(error: Exception, protocol: str) -> Failure:
    """The class of failure. The texts stay general, because precise ones would make this a port scanner."""
    match error:
        case Unreachable():
            return Failure(error.code, error.message, error.permanent)
        case TimeoutError():
            return Failure("timeout", "the server took too long")
        case BrokerResponseError():
            return Failure("kafka_error", f"a broker answered {error.message}")
        case KafkaError():
            return Failure("connect", "no broker could be reached, or none that speaks Kafka without password and TLS")
        case OSError():
            what = "no broker could be reached, or none" if protocol else "the server could not be reached, or is none"
            return Failure("connect", f"{what} that speaks {protocol or 'this protocol'} as it was said to")
        case MemoryError():
            return Failure("too_much", "the answer takes more memory than there is for it")
    return Failure("not_understood", f"what answers there does not speak {protocol or 'this protocol'}")


if __name__ == "__main__":
    main()
