"""`prefect.yaml` deploys to a real server, and what it deploys can be run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from recsys.sample_shop import SampleShop

ROOT = Path(__file__).parents[2]


def prefect(*arguments: str) -> None:
    """Run the Prefect command line in the repository, against the tests' server."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_worker_runs_the_deployment(prefect_url: str, shop: SampleShop, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    prefect("work-pool", "create", "default", "--type", "process")
    prefect("deploy", "--all")
    parameters = {"home": str(tmp_path / "home"), "catalogue": str(shop.catalogue), "stop_after": "catalogue"}
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("recommend/recommend")
        assert deployment.description and deployment.tags
        run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        prefect("worker", "start", "--pool", "default", "--run-once")
        ended = client.read_flow_run(run.id)
    assert ended.state is not None and ended.state.is_completed(), ended.state
    assert (tmp_path / "home" / "store" / "labels.lance").is_dir()
