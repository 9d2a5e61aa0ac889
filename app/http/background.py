"""Tasks that the server can not do without."""

import asyncio
import signal

import structlog

log = structlog.get_logger()


def stop_if_failed(task: "asyncio.Task[None]") -> None:
    """To be called when such a task is done. If it has failed, the process stops, and is started again.

    Without it the server would go on and do half of its work: unwatched zaps, requests that are on no record.
    """
    if task.cancelled() or task.exception() is None:
        return
    log.critical("api.task_failed", task=task.get_name(), exc_info=task.exception())
    signal.raise_signal(signal.SIGTERM)
