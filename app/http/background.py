"""Tasks that the server can not do without."""

import asyncio
import signal

import structlog

log = structlog.get_logger()


def stop_if_ended(task: "asyncio.Task[None]") -> None:
    """To be called when such a task is done. If nobody has cancelled it, the process stops, and is started again.

    Without it the server would go on and do half of its work: unwatched zaps, requests that are on no record.
    """
    if task.cancelled():
        return
    log.critical("api.task_ended", task=task.get_name(), exc_info=task.exception())
    signal.raise_signal(signal.SIGTERM)
