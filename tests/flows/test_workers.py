"""The checks of a cluster's workers before the first shard."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.core.errors import ConfigurationError, ServerError

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_remote_workers_with_a_prefect_server_on_loopback_are_rejected_before_the_first_shard() -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.workers import require_reachable_server

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}):
        require_reachable_server("tcp://127.0.0.1:8786")
        require_reachable_server(None)
        with pytest.raises(ServerError, match=r"cannot reach Prefect's server at http://127"):
            require_reachable_server("tcp://10.0.0.9:8786")
    with temporary_settings({PREFECT_API_URL: "http://10.0.0.1:4200/api"}):
        require_reachable_server("tcp://10.0.0.9:8786")


def test_flags_that_name_another_store_are_rejected(tmp_path: Path) -> None:
    """The workers, the service and every other command would use the home's store."""
    from flows.stages import exclusive_home

    flags = {"store": {"url": "s3://shop/recsys"}}
    with pytest.raises(ConfigurationError, match=r"store\.url cannot be set"), exclusive_home(str(tmp_path), flags):
        pass
