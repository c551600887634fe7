"""`prefect.yaml` deploys to a real server, and what it deploys can be run."""

from __future__ import annotations

from pathlib import Path

from recsys.sample_shop import SampleShop

from .conftest import prefect


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
