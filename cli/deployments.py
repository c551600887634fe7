"""What `prefect.yaml` deploys, deployed for one home on a Prefect server; and who is told when something goes wrong."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import flows
from recsys.core.errors import ServerError

PREFECT_FILE = Path(flows.__file__).parents[1] / "prefect.yaml"
POOLS = ("default", "gpu")
FLOWS = ("recommend", "refresh", "train", "recheck", "scrape")
"""Whose failures are told; others on the same server are none of ours."""

FAILED = """Flow {{ flow.name }}, run "{{ flow_run.name }}", is {{ flow_run.state.name }}:
{{ flow_run.state.message }}
{{ flow_run | ui_url }}"""
REFUSED = """Embedding {{ event.payload.version }} does not serve; what served before goes on.
{{ event.payload.reason }}
MLflow run {{ event.payload.mlflow_run }}"""
DRIFTED = """Population stability index beyond workflow.drift_psi: {{ event.payload.drift }}.
{{ event.payload.new }} products new, {{ event.payload.changed }} changed, {{ event.payload.removed }} removed."""


def begin_to_deploy(home: Path, catalogue: str) -> subprocess.Popen[str]:
    """Start `prefect deploy --all` for a home and a catalogue; `deployed` waits for it.

    The Prefect server is the one that PREFECT_API_URL names.

    Raises:
        ServerError: there is no `prefect.yaml` beside the program.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    if not PREFECT_FILE.exists():
        raise ServerError(f"there is no {PREFECT_FILE} to deploy from: run from a checkout, or with --no-worker")
    with get_client(sync_client=True) as client:
        for name in POOLS:
            template = ProcessWorker.get_default_base_job_template()
            with contextlib.suppress(ObjectAlreadyExists):
                client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    named = {"RECSYS_HOME": str(home.absolute()), "RECSYS_CATALOGUE": catalogue}
    return subprocess.Popen(
        command,
        cwd=PREFECT_FILE.parent,
        env=os.environ | named,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def deployed(deploying: subprocess.Popen[str], home: Path, schedules: bool) -> int:
    """Wait until a home's deployments are there, set their schedules going or at rest, and return how many there are.

    Raises:
        ServerError: Prefect refused them.
    """
    from prefect.client.orchestration import get_client

    told, _ = deploying.communicate()
    if deploying.returncode:
        raise ServerError(f"the deployments were refused: {' '.join(told.split())[-300:]}")
    with get_client(sync_client=True) as client:
        ours = [each for each in client.read_deployments() if each.parameters.get("home") == str(home.absolute())]
        for deployment in ours:
            for schedule in deployment.schedules:
                client.update_deployment_schedule(deployment.id, schedule.id, active=schedules)
    return len(ours)


def notify(channels: Mapping[str, str]) -> list[str]:
    """Have the Prefect server tell of failed runs, refused challengers and drift; doing it again changes nothing.

    Addresses are kept in blocks of the server, encrypted. Without channels, nobody is told any more.

    Args:
        channels: see `recsys.core.configuration.Notify`.

    Returns:
        The names of the automations that there are then.
    """
    from prefect.automations import Automation
    from prefect.client.orchestration import get_client
    from prefect.events.actions import SendNotification
    from prefect.events.schemas.automations import EventTrigger, Posture

    blocks = {name: _block(name, address) for name, address in channels.items()}
    ids = [block.save(f"recsys-{name}", overwrite=True) for name, block in blocks.items()]
    of_ours: dict[str, Any] = {"prefect.resource.role": "flow", "prefect.resource.name": list(FLOWS)}
    ended = {"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"}
    of_homes = {"prefect.resource.id": "recsys.home.*"}
    wanted = {
        "recsys: a run failed": (ended, {"prefect.resource.id": "prefect.flow-run.*"}, of_ours, FAILED),
        "recsys: a challenger was refused": ({"challenger.refused"}, of_homes, {}, REFUSED),
        "recsys: the shop has drifted": ({"catalogue.updated"}, of_homes | {"recsys.drift": "beyond"}, {}, DRIFTED),
    }
    with get_client(sync_client=True) as client:
        for name, (expected, resource, related, body) in wanted.items():
            known = client.read_automations_by_name(name)
            if not ids:
                for each in known:
                    client.delete_automation(each.id)
                continue
            automation = Automation(
                name=name,
                description="Made by `recsys notify`.",
                trigger=EventTrigger(
                    expect=expected,
                    match=resource,
                    match_related=related,
                    posture=Posture.Reactive,
                    threshold=1,
                    within=timedelta(0),
                ),
                actions=[SendNotification(block_document_id=each, subject=name, body=body) for each in ids],
            )
            if known:
                automation.id = known[0].id
                automation.update()
            else:
                automation.create()
    return list(wanted) if ids else []


def send_test(channels: Mapping[str, str]) -> None:
    """Send a message to each channel from here.

    Raises:
        ServerError: one does not take it.
    """
    for name, address in channels.items():
        block = _block(name, address)
        try:
            with block.raise_on_failure():
                block.notify("This is what a notification looks like.", "recsys: a test")
        except Exception as error:  # of Apprise, httpx, or Prefect
            raise ServerError(f"notify.{name} does not take a message: {type(error).__name__}; check it") from error


def _block(channel: str, address: str) -> Any:
    """Return the Prefect block that sends to a channel.

    Prefect hands what is no address of Slack's to Apprise as it is, which is how mail is sent: it has no block for
    SMTP without a further package on the server.
    """
    from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook

    if channel == "webhook":
        message = {"subject": "{{subject}}", "body": "{{body}}", "text": "{{subject}}\n{{body}}"}
        return CustomWebhookNotificationBlock(
            name="recsys", url="{{address}}", json_data=message, secrets={"address": address}
        )
    return SlackWebhook(url=address)
