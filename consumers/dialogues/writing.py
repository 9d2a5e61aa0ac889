"""Writes one message to a topic."""

from aiokafka import AIOKafkaProducer

from domain.dialogue.questions import MessageTaken, TopicMessage

CLIENT = "triggerhub-action"


async def write(message: TopicMessage) -> MessageTaken:
    """Hand a message to its partition's leader. Raises errors of aiokafka."""
    producer = AIOKafkaProducer(
        bootstrap_servers=list(message.servers),
        client_id=CLIENT,
        acks="all",
        request_timeout_ms=int(message.timeout_s * 1_000),
        max_request_size=2 * 2**20,
    )
    await producer.start()
    try:
        taken = await producer.send_and_wait(
            message.topic,
            message.value,
            key=message.key,
            partition=message.partition,
            headers=list(message.headers),
        )
    finally:
        await producer.stop()
    return MessageTaken(taken.partition, taken.offset)
