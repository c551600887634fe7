"""Where shards may run: what a flow asks of its workers before the first one."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.core.configuration import load
from recsys.core.errors import ConfigurationError, ServerError


def test_workers_that_could_not_reach_prefects_server_are_told_before_the_first_shard() -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.workers import _require_reachable

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}):
        _require_reachable("tcp://127.0.0.1:8786")
        _require_reachable(None)
        with pytest.raises(ServerError, match=r"cannot reach Prefect's server at http://127"):
            _require_reachable("tcp://10.0.0.9:8786")
    with temporary_settings({PREFECT_API_URL: "http://10.0.0.1:4200/api"}):
        _require_reachable("tcp://10.0.0.9:8786")


def test_a_store_that_only_a_flow_is_told_of_is_refused(tmp_path: Path) -> None:
    """Its workers, the service and every other command would look elsewhere."""
    from flows.stages import alone

    told = load(None, {"store": {"url": "s3://shop/recsys"}}, environ={})
    with pytest.raises(ConfigurationError, match=r"store\.url is no parameter"), alone(str(tmp_path), told):
        pass
