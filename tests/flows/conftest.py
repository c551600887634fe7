"""Fixtures of the flows' tests: a shop after a complete run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from recsys.core.configuration import load
from sample_shop import SampleHost, SampleShop

if TYPE_CHECKING:
    from prefect.client.schemas.objects import Artifact, TaskRun

ROOT = Path(__file__).parents[2]
FLAGS: dict[str, Any] = {
    "images": {
        "timeout_s": 1,
        "backoff_s": 0.05,
        "shard_size": 16,
        "retry_after_max_s": 0.1,
        "allow_hosts": ["127.0.0.1"],
    },
    "workflow": {"retries": 1, "retry_delay_s": 0.1},
    "classifier": {"recipe": str(ROOT / "tests/recsys/models/classifier/quick.toml")},
    "embedding": {"recipe": str(ROOT / "tests/recsys/models/embedding/quick.toml")},
    "report": {"grids": 4},
    "tsne": {"iterations": 250},
}
CONFIGURATION = load(None, FLAGS, environ={})
Run = Callable[..., dict[str, int]]


def running(home: Path) -> Run:
    from flows.recommend import recommend

    def run(catalogue: Path, stop_after: str = "results", **flags: Any) -> dict[str, int]:
        flow: Any = recommend  # Prefect's overloads do not know the parameters
        result: dict[str, int] = flow(str(home), str(catalogue), FLAGS | flags, stop_after)
        return result

    return run


def prefect(*arguments: str) -> None:
    """Run the Prefect command line in the repository, against the tests' server."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, env=dict(os.environ), check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def recorded(home: Path) -> tuple[list[TaskRun], dict[str, Artifact]]:
    """Return the task runs of a home's last flow run, and the last artifact of each key, from the server."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort

    def of(*runs: UUID) -> FlowRunFilter:
        return FlowRunFilter(id=FlowRunFilterId(any_=list(runs)))

    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC)
        own = [run.id for run in runs if run.parameters["home"] == str(home)]
        artifacts = client.read_artifacts(flow_run_filter=of(*own), sort=ArtifactSort.CREATED_DESC)
        tasks = client.read_task_runs(flow_run_filter=of(own[0]))
    return tasks, {str(found.key): found for found in reversed(artifacts)}


@pytest.fixture(scope="session")
def pool(prefect_url: str) -> str:
    """The work pool of the deployments of `prefect.yaml`, which have been created.

    Tests that use it are in the xdist group `pool`: a worker of one would run the flows of another.
    """
    for name in ("default", "gpu"):
        prefect("work-pool", "create", name, "--type", "process")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_HOME", "/a/home")
        patch.setenv("RECSYS_CATALOGUE", "/a/catalogue.csv")
        prefect("deploy", "--all")
    return "default"


@dataclass
class Ran:
    """A home after a complete run; what each stage did, and the requests to the host.

    One test goes on in the home itself, the others in copies of its copy.
    """

    home: Path
    copy: Path
    done: dict[str, int]
    asked: int


@pytest.fixture(scope="session")
def ran(prefect_url: str, shop: SampleShop, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run of a minute, with trainings, that several tests share."""
    home = tmp_path_factory.mktemp("ran") / "home"
    with SampleHost(shop.folder, port=int(shop.base_url.rsplit(":", 1)[1])) as host:
        done = running(home)(shop.catalogue)
        asked = sum(host.stats().values())
    return Ran(home, shutil.copytree(home, home.with_name("copy")), done, asked)
