"""The deployments of `prefect.yaml` for one home, and `recsys notify`: notifications of their failures."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast
from uuid import UUID

import typer
from rich.text import Text

import flows
from cli.console import out
from cli.options import HomeOption
from recsys.core.configuration import HOME_DEFAULT, load
from recsys.core.errors import ServerError

if TYPE_CHECKING:
    from prefect.blocks.abstract import NotificationBlock
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

PREFECT_FILE = Path(flows.__file__).parents[1] / "prefect.yaml"
POOLS = ("default", "gpu")
FLOWS = ("recommend", "refresh", "train", "recheck", "scrape")
"""Flows whose failures are notified; other flows on the same server are not."""


@dataclass(frozen=True)
class _Notification:
    """An event of Prefect that sends a message.

    Attributes:
        name: of the automation on the server.
        events: any of these sends the message.
        resource: labels that the event's resource must have.
        body: the message, a template of Prefect.
        related: labels that a related resource must have.
    """

    name: str
    events: frozenset[str]
    resource: Mapping[str, str]
    body: str
    related: Mapping[str, str | list[str]] = field(default_factory=dict)

    def automation(self, blocks: Sequence[UUID]) -> AutomationCore:
        """Return the automation that sends the message by each block."""
        from prefect.events.actions import SendNotification
        from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

        return AutomationCore(
            name=self.name,
            description="Made by `recsys notify`.",
            trigger=EventTrigger(
                expect=set(self.events),
                match=dict(self.resource),
                match_related=dict(self.related),
                posture=Posture.Reactive,
                threshold=1,
                within=timedelta(0),
            ),
            actions=[SendNotification(block_document_id=block, subject=self.name, body=self.body) for block in blocks],
        )


NOTIFICATIONS = (
    _Notification(
        name="recsys: a run failed",
        events=frozenset({"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"}),
        resource={"prefect.resource.id": "prefect.flow-run.*"},
        related={"prefect.resource.role": "flow", "prefect.resource.name": list(FLOWS)},
        body="""Flow {{ flow.name }}, run "{{ flow_run.name }}", is {{ flow_run.state.name }}:
{{ flow_run.state.message }}
{{ flow_run | ui_url }}""",
    ),
    _Notification(
        name="recsys: a challenger was refused",
        events=frozenset({"challenger.refused"}),
        resource={"prefect.resource.id": "recsys.home.*"},
        body="""Embedding {{ event.payload.version }} does not serve; the previous one keeps serving.
{{ event.payload.reason }}
MLflow run {{ event.payload.mlflow_run }}""",
    ),
    _Notification(
        name="recsys: the shop has drifted",
        events=frozenset({"catalogue.updated"}),
        resource={"prefect.resource.id": "recsys.home.*", "recsys.drift": "beyond"},
        body="""Population stability index above workflow.drift_psi: {{ event.payload.drift }}.
{{ event.payload.new }} products new, {{ event.payload.changed }} changed, {{ event.payload.removed }} removed.""",
    ),
)


def start_deploying(home: Path, catalogue: str) -> subprocess.Popen[str]:
    """Start `prefect deploy --all` for a home and a catalogue; `wait_for_deployments` waits for its end.

    The Prefect server is the one that PREFECT_API_URL names.

    Raises:
        ServerError: the program is installed without its `prefect.yaml`.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    if not PREFECT_FILE.exists():
        raise ServerError(f"{PREFECT_FILE} does not exist: run from a checkout, or with --no-worker")
    with get_client(sync_client=True) as client:
        for name in POOLS:
            template = ProcessWorker.get_default_base_job_template()
            with contextlib.suppress(ObjectAlreadyExists):
                client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
    return subprocess.Popen(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=PREFECT_FILE.parent,
        env=os.environ | {"RECSYS_HOME": str(home.absolute()), "RECSYS_CATALOGUE": catalogue},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_deployments(deploying: subprocess.Popen[str], home: Path, schedules: bool) -> int:
    """Wait for the deployments of a home, activate or pause their schedules, and return the number of deployments.

    Raises:
        ServerError: Prefect rejected them.
    """
    from prefect.client.orchestration import get_client

    output, _ = deploying.communicate()
    if deploying.returncode:
        raise ServerError(f"Prefect rejected the deployments: {' '.join(output.split())[-300:]}")
    with get_client(sync_client=True) as client:
        deployments = [
            deployment
            for deployment in client.read_deployments()
            if deployment.parameters.get("home") == str(home.absolute())
        ]
        for deployment in deployments:
            for schedule in deployment.schedules:
                client.update_deployment_schedule(deployment.id, schedule.id, active=schedules)
    return len(deployments)


def set_up_notifications(channels: Mapping[str, str]) -> list[str]:
    """Make the Prefect server notify of failed runs, refused challengers and drift; repeating it changes nothing.

    Addresses are stored in blocks of the server, encrypted. Without channels the notifications are removed.

    Args:
        channels: see `recsys.core.configuration.Notify`.

    Returns:
        The names of the automations.
    """
    from prefect.client.orchestration import get_client

    blocks = {name: _block(name, address) for name, address in channels.items()}
    ids = [cast("UUID", block.save(f"recsys-{name}", overwrite=True)) for name, block in blocks.items()]
    with get_client(sync_client=True) as client:
        for notification in NOTIFICATIONS:
            if ids:
                _save(client, notification.automation(ids))
            else:
                for automation in client.read_automations_by_name(notification.name):
                    client.delete_automation(automation.id)
    return [notification.name for notification in NOTIFICATIONS] if ids else []


def _save(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Create an automation, or replace the one of the same name."""
    existing = client.read_automations_by_name(automation.name)
    if existing:
        client.update_automation(existing[0].id, automation)
    else:
        client.create_automation(automation)


def send_test(channels: Mapping[str, str]) -> None:
    """Send a test message to each channel from this process.

    Raises:
        ServerError: a channel does not accept it.
    """
    for name, address in channels.items():
        block = _block(name, address)
        try:
            with block.raise_on_failure():
                # synchronous when called outside an event loop, which its type does not say
                block.notify("This is a test notification.", "recsys: a test")  # type: ignore[unused-coroutine]
        except Exception as error:  # of Apprise, httpx, or Prefect
            raise ServerError(
                f"notify.{name} did not accept a message ({type(error).__name__}); check its address"
            ) from error


def _block(channel: str, address: str) -> NotificationBlock:
    """Return the Prefect block that sends to a channel.

    `SlackWebhook` passes an address that is not Slack's to Apprise unchanged. Mail is sent this way: Prefect's own SMTP
    block requires another package on the server.
    """
    from prefect.blocks.fields import SecretDict
    from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook
    from pydantic import SecretStr

    if channel == "webhook":
        message = {"subject": "{{subject}}", "body": "{{body}}", "text": "{{subject}}\n{{body}}"}
        secrets = SecretDict({"address": address})
        return CustomWebhookNotificationBlock(
            name="recsys", url="{{address}}", json_data=message, headers=None, cookies=None, secrets=secrets
        )
    return SlackWebhook(url=SecretStr(address))


def notify(
    home: HomeOption = HOME_DEFAULT,
    test: Annotated[bool, typer.Option("--test", help="Send a test message to each channel; change nothing.")] = False,
) -> None:
    """Set up notifications on the Prefect server: of failed runs, of embeddings that fail the gate, of drift.

    The channels are in the section [notify]: webhook, slack, email. Their addresses are secrets: put them into the
    environment (RECSYS_NOTIFY__SLACK, ...) or into the home's recsys.toml. Run the command again after a change.
    Without any channel it removes the notifications. 'recsys ui' does the same at its start.

    Examples:
        recsys notify --test
        recsys notify --home my-shop
    """
    from cli.servers import prefect_server

    channels = load(home).notify.channels
    with prefect_server(home):
        from cli import deployments

        if test:
            deployments.send_test(channels)
            out.print(Text(f"Sent to {', '.join(channels)}" if channels else "Not sent: [notify] has no channel"))
            return
        for automation in deployments.set_up_notifications(channels):
            out.print(Text(f"{automation}: notifies {', '.join(channels)}"))
    if not channels:
        out.print(Text("No notifications: [notify] has no channel."))
