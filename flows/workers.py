"""The workers of a flow: threads of its own process, or a Dask cluster (`workflow.runner`).

A task gets only names, digests and the configuration, so it does the same work on any machine: it reads from the store
and writes to the store. A worker on another machine needs this program, the same home or the same `store.url`, and an
address at which it reaches Prefect's server. All three are checked, also for workers that join during a flow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL

from recsys.core.configuration import Configuration
from recsys.core.errors import ConfigurationError, HomeError, ServerError
from recsys.core.process import set_up_process
from recsys.storage.store import Store
from tasks.result_storage import register_s3

if TYPE_CHECKING:
    from distributed import Worker
    from prefect_dask import DaskTaskRunner

SHARDS_PER_THREAD = 2
"""Shards in flight per thread of a Dask cluster: one in work, and one that waits for it."""


@contextmanager
def configured_runner(configuration: Configuration) -> Iterator[None]:
    """Make the flow submit its tasks to the configured runner.

    A flow's own runner is fixed where the flow is defined; this one depends on the home's configuration.

    Raises:
        ConfigurationError: Dask is configured but not installed.
    """
    context = FlowRunContext.get()
    if context is None or configuration.workflow.runner == "threads":
        yield
        return
    try:
        from prefect_dask import DaskTaskRunner
    except ImportError as error:
        raise ConfigurationError(
            "workflow.runner is 'dask', which is not installed: pip install 'visual-recommender[dask]'"
        ) from error
    settings = configuration.workflow
    local: dict[str, Any] = {"n_workers": settings.workers, "threads_per_worker": 1, "dashboard_address": None}
    runner = DaskTaskRunner(address=settings.dask_address, cluster_kwargs=None if settings.dask_address else local)
    with runner, context.model_copy(update={"task_runner": runner}):
        yield


def runs_on_cluster() -> bool:
    """Return whether other processes work on the shards; those report no progress to this one."""
    context = FlowRunContext.get()
    return context is not None and hasattr(context.task_runner, "client")


def shards_in_flight(home: str, threads: int) -> int:
    """Return the number of shards to have in flight: one per thread, or enough to keep a cluster busy.

    Raises:
        ServerError: the cluster does not answer, has no worker, or cannot reach Prefect's server.
        HomeError: a worker has another home.
    """
    if not runs_on_cluster():
        return threads
    runner: DaskTaskRunner = FlowRunContext.get().task_runner  # type: ignore[union-attr, assignment]
    require_reachable_server(runner.address)
    try:
        runner.client.wait_for_workers(1, timeout=60)
        runner.client.register_plugin(_worker_setup(home))
        cluster_threads = sum(runner.client.nthreads().values())
    except (OSError, TimeoutError) as error:
        raise ServerError(f"the Dask cluster at {runner.address} does not answer, or has no worker: {error}") from error
    return SHARDS_PER_THREAD * cluster_threads


def _worker_setup(home: str) -> Any:
    """Return a plugin that sets up each worker of a cluster, and checks that its home is the flow's."""
    from distributed import WorkerPlugin

    store_id = Store(home).id

    class WorkerSetup(WorkerPlugin):
        name = f"recsys {home}"

        def setup(self, worker: Worker) -> None:
            set_up_process()
            register_s3()
            try:
                worker_store_id = Store(home, read_only=True).id
            except HomeError as error:
                raise HomeError(f"worker {worker.address}: {error}, or give it the flow's store.url") from None
            if worker_store_id != store_id:
                raise HomeError(
                    f"on worker {worker.address} home {home} belongs to another shop; give it the flow's store.url"
                )

    return WorkerSetup()


def require_reachable_server(cluster_address: str | None) -> None:
    """Raise ServerError if the workers are on other machines and Prefect's server has a loopback address."""
    server = urlsplit(PREFECT_API_URL.value() or "")
    is_remote = cluster_address is not None and not _is_loopback(urlsplit(cluster_address).hostname)
    if is_remote and _is_loopback(server.hostname):
        raise ServerError(
            f"workers of {cluster_address} cannot reach Prefect's server at {server.geturl() or 'a temporary address'};"
            " start a server on an address of this machine, and name it in PREFECT_API_URL"
        )


def _is_loopback(host: str | None) -> bool:
    try:
        return host in (None, "localhost") or ip_address(host or "").is_loopback
    except ValueError:
        return False
