"""Webhooks: start a run for each request to the zap's catch URL."""

from domain.connector import Connector, TriggerDescriptor

CONNECTOR = Connector(
    triggers=(
        TriggerDescriptor(
            type="webhook.catch",
            name="Catch a webhook",
            description="Starts a run for every request to the zap's URL. The request is stored before it is answered.",
            icon="webhook",
            example={
                "method": "POST",
                "headers": {"content-type": "application/json"},
                "body": {"id": "evt_1"},
            },
        ),
    )
)
