"""Schedules: start runs at the times of a cron expression, or every so often."""

from functools import partial

from domain.connector.config import fixed_problems
from domain.connector.descriptor import Connector, TriggerDescriptor
from domain.values.json import JsonObject
from domain.zap import schedule


def _problems(trigger_type: str, config: JsonObject) -> dict[str, str]:
    return fixed_problems(schedule.SCHEDULES[trigger_type], config) or schedule.problems(trigger_type, config)


CONNECTOR = Connector(
    triggers=(
        TriggerDescriptor(
            type="schedule.cron",
            name="At times of the day",
            description="Starts a run at each time of a cron expression, in a time zone of your choice.",
            icon="clock",
            config=schedule.CronSchedule,
            example={"due_at": "2027-01-04T08:00:00Z", "local": "2027-01-04T09:00:00+01:00", "late_s": 0.2},
            check=partial(_problems, "schedule.cron"),
        ),
        TriggerDescriptor(
            type="schedule.every",
            name="Every so often",
            description="Starts a run every so many seconds.",
            icon="repeat",
            config=schedule.EverySchedule,
            example={"due_at": "2027-01-04T08:00:00Z", "local": "2027-01-04T08:00:00+00:00", "late_s": 0.2},
            check=partial(_problems, "schedule.every"),
        ),
    )
)
