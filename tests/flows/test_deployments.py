"""The deployments of `prefect.yaml` can be created on a real server and run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from sample_shop import SampleShop
from tests.flows.conftest import prefect
from tests.waiting import wait_for

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("deployments")]


def test_a_worker_runs_the_deployment(pool: str, shop: SampleShop, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    parameters = {"home": str(tmp_path / "home"), "catalogue": str(shop.catalogue), "stop_after": "catalogue"}
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("recommend/recommend")
        assert deployment.description and deployment.tags
        run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        prefect("worker", "start", "--pool", pool, "--run-once")
        ended = client.read_flow_run(run.id)
    assert ended.state is not None and ended.state.is_completed(), ended.state
    assert (tmp_path / "home" / "store" / "labels.lance").is_dir()


def test_the_event_schedules_a_training_only_if_it_is_due(pool: str) -> None:
    """Other tests refresh homes and emit events on the same server, so each event here has its own digest."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
    from prefect.events import emit_event

    def runs() -> list[FlowRun]:
        of_retrain = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
        found = client.read_flow_runs(deployment_filter=of_retrain)
        return [run for run in found if run.parameters.get("catalogue_digest") in digests.values()]

    digests = {due: uuid4().hex for due in ("not due", "due")}
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("train/retrain")
        for number, (due, digest) in enumerate(digests.items()):
            resource = {"prefect.resource.id": f"recsys.home.{number}", "recsys.retraining": due}
            emit_event("catalogue.updated", resource, payload={"digest": digest})
        wait_for(runs, 60, pause_s=0.5)
        time.sleep(2)  # for one too many
        (run,) = runs()
    assert run.parameters == {"home": "/a/home", "catalogue_digest": digests["due"]}


def test_scheduled_deployments_have_a_schedule_and_all_have_a_description(pool: str) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        deployments = {each.name: each for each in client.read_deployments()}
    assert {name for name, each in deployments.items() if each.schedules} == {
        *("recommend", "refresh", "retrain", "recheck"),
    }
    assert {schedule.slug for each in deployments.values() for schedule in each.schedules} == {
        *("hourly", "nightly", "weekly"),
    }
    assert deployments.keys() == {"recommend", "refresh", "retrain", "fine-tune", "recheck", "scrape"}
    assert all(each.description and each.tags for each in deployments.values())
    assert deployments["fine-tune"].work_pool_name == "gpu"


def test_a_schedule_has_runs_scheduled(pool: str) -> None:
    """Prefect 3.8 with SQLAlchemy 2.1 schedules none, without an error."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        runs = wait_for(lambda: [run for run in client.read_flow_runs() if run.auto_scheduled], 60, pause_s=0.5)
    assert all(run.parameters["home"] == "/a/home" for run in runs)
