"""Who does the shards of a flow: threads of its own process, or a Dask cluster (`workflow.runner`).

A task is given no more than names, digests and the configuration, so it does the same work anywhere: what it needs it
reads from the store, what it did it writes there. A worker on another machine needs this program, the same home or
the same `store.url`, and Prefect's server by an address that it can reach; each is checked, also of workers that come
while a flow runs.
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

if TYPE_CHECKING:
    from distributed import Worker
    from prefect_dask import DaskTaskRunner

SHARDS_A_THREAD = 2
"""That are under way on a Dask cluster: one that is worked on, and one that waits for it."""


@contextmanager
def shards_done_by(configuration: Configuration) -> Iterator[None]:
    """Have what the flow submits done by the configured runner while the context lasts.

    A flow's own runner is fixed where it is defined, and this one is known only when its home's configuration is read.

    Raises:
        ConfigurationError: Dask is not installed.
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
    here: dict[str, Any] = {"n_workers": settings.workers, "threads_per_worker": 1, "dashboard_address": None}
    runner = DaskTaskRunner(address=settings.dask_address, cluster_kwargs=None if settings.dask_address else here)
    with runner, context.model_copy(update={"task_runner": runner}):
        yield


def are_elsewhere() -> bool:
    """Return whether shards are done in other processes, which tell no progress here."""
    context = FlowRunContext.get()
    return context is not None and hasattr(context.task_runner, "client")


def at_once(home: str, wanted: int) -> int:
    """Return how many shards to have under way: so many as are wanted, or on a cluster as keep all its workers busy.

    Raises:
        ServerError: the cluster does not answer, has no worker, or cannot reach Prefect's server.
        HomeError: a worker has another home.
    """
    if not are_elsewhere():
        return wanted
    runner: DaskTaskRunner = FlowRunContext.get().task_runner  # type: ignore[union-attr, assignment]
    _require_reachable(runner.address)
    try:
        runner.client.wait_for_workers(1, timeout=60)
        runner.client.register_plugin(_same_store(home))
        threads = sum(runner.client.nthreads().values())
    except (OSError, TimeoutError) as error:
        raise ServerError(f"the Dask cluster at {runner.address} does not answer, or has no worker: {error}") from error
    return SHARDS_A_THREAD * threads


def _same_store(home: str) -> Any:
    """Return what each worker of a cluster does before its first shard: it looks whether its home is the flow's."""
    from distributed import WorkerPlugin

    own = Store(home).id

    class SameStore(WorkerPlugin):
        name = f"recsys {home}"

        def setup(self, worker: Worker) -> None:
            set_up_process()
            try:
                there = Store(home, read_only=True).id
            except HomeError as error:
                raise HomeError(f"on worker {worker.address}: {error}, or give it the flow's store.url") from None
            if there != own:
                raise HomeError(
                    f"on worker {worker.address} home {home} is another shop's; give it the flow's store.url"
                )

    return SameStore()


def _require_reachable(address: str | None) -> None:
    """Raise ServerError where workers on other machines would look for Prefect's server on their own."""
    server = urlsplit(PREFECT_API_URL.value() or "")
    if address is not None and not _is_loopback(urlsplit(address).hostname) and _is_loopback(server.hostname):
        raise ServerError(
            f"workers of {address} cannot reach Prefect's server at {server.geturl() or 'a temporary address'}; "
            "start one on an address of this machine and name it in PREFECT_API_URL"
        )


def _is_loopback(host: str | None) -> bool:
    try:
        return host in (None, "localhost") or ip_address(host or "").is_loopback
    except ValueError:
        return False
