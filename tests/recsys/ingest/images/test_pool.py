"""The processes that square: the same outcomes as without them, whatever happens to them, and none stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import recsys
from recsys.core.configuration import Images
from recsys.ingest.images import fetch, pool
from recsys.ingest.images.fetch import close_idle_fetchers, fetch_images
from recsys.ingest.images.item import Item
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

RUN = """
import sys
from recsys.core.configuration import Images
from recsys.ingest.images.item import Item
from recsys.ingest.images.fetch import fetch_images
settings = Images(allow_hosts=("127.0.0.1",), processes=2, timeout_s=30)
fetch_images([Item("ok", (sys.argv[1],)), Item("hangs", (sys.argv[2],))], settings)
"""


@pytest.fixture
def settings(configuration, monkeypatch) -> Iterator[Images]:
    monkeypatch.setattr(fetch, "LINGER_S", 0.2)
    yield configuration.images.model_copy(update={"processes": 2})
    assert wait_for(lambda: not squaring_processes(os.getpid()))  # they end when nothing is fetched any more


def batch(host, faults: list[str], number: int) -> list[Item]:
    return [Item(f"{number}-{n}", (host.url(fault, f"{number}-{n}"),)) for n, fault in enumerate(faults)]


def squaring_processes(parent: int) -> set[int]:
    """Return the processes of a parent's pool."""
    children = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            is_child = int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent
            if is_child and "multiprocessing.spawn" in (entry / "cmdline").read_text():
                children.add(int(entry.name))
    return children


def test_batches_in_several_processes_end_as_in_one(host, settings):
    faults = ["ok", "404", "503_then_ok", "empty", *["ok"] * 20]
    progress: list[str] = []
    with ThreadPoolExecutor(4) as threads:
        ended = list(threads.map(lambda n: fetch_images(batch(host, faults, n), settings, progress.append), range(4)))
    alone = settings.model_copy(update={"processes": 1})
    expected = [(o.status, o.cause, o.image and o.image.digest) for o in fetch_images(batch(host, faults, 9), alone)]
    for number, outcomes in enumerate(ended):
        assert [o.product_id for o in outcomes] == [f"{number}-{n}" for n in range(len(faults))]
        assert [(o.status, o.cause, o.image and o.image.digest) for o in outcomes] == expected
    assert sorted(progress) == sorted(o.status for outcomes in ended for o in outcomes)


def test_batches_together_send_a_host_no_more_requests_at_once_than_one_batch(host, settings):
    gentle = settings.model_copy(update={"concurrency_per_host": 4})
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: fetch_images(batch(host, ["slow"] * 6, n), gentle), range(4)))
    assert host.most_under_way == 4


def test_processes_stay_for_the_next_batch_and_end_when_none_comes(host, settings, monkeypatch):
    monkeypatch.setattr(fetch, "LINGER_S", 2.0)
    fetch_images(batch(host, ["ok"], 0), settings)
    first = squaring_processes(os.getpid())
    fetch_images(batch(host, ["ok"], 1), settings)
    assert squaring_processes(os.getpid()) == first
    assert 1 <= len(first) <= 2


def test_idle_processes_can_be_ended_at_once(host, settings, monkeypatch):
    monkeypatch.setattr(fetch, "LINGER_S", 60)
    fetch_images(batch(host, ["ok"], 0), settings)
    assert squaring_processes(os.getpid())
    close_idle_fetchers()
    assert not squaring_processes(os.getpid())


def test_a_killed_process_fails_its_batch_at_once_and_the_next_batch_is_fetched(host, settings, monkeypatch):
    monkeypatch.setattr(fetch, "LINGER_S", 60)

    def all_processes() -> set[int]:
        fetch_images(batch(host, ["ok"] * 40, 0), settings)
        running = squaring_processes(os.getpid())
        return running if len(running) == settings.processes else set()

    victims = wait_for(all_processes)  # else the pool would start one more for the next picture
    for victim in victims:
        os.kill(victim, signal.SIGSTOP)  # so that the next picture is not finished before the kill
    with ThreadPoolExecutor(1) as threads:
        squaring = threads.submit(fetch_images, batch(host, ["ok"], 1), settings)
        assert wait_for(lambda: host.requests["/ok/1-0"])
        assert not squaring.done()
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        with pytest.raises(ChildProcessError, match="run again"):
            squaring.result(timeout=5)
    assert fetch_images(batch(host, ["ok"], 2), settings)[0].status == "ok"
    close_idle_fetchers()


def test_processes_that_were_killed_while_idle_are_replaced(host, settings, monkeypatch):
    monkeypatch.setattr(fetch, "LINGER_S", 60)
    fetch_images(batch(host, ["ok"], 0), settings)
    for victim in squaring_processes(os.getpid()):
        os.kill(victim, signal.SIGKILL)
    assert wait_for(lambda: not squaring_processes(os.getpid()))

    def fetched():
        with contextlib.suppress(ChildProcessError):  # the pool may not have noticed the kill yet
            return fetch_images(batch(host, ["ok"], 1), settings)

    assert wait_for(fetched)[0].status == "ok"
    close_idle_fetchers()


def test_a_defect_while_fetching_is_raised(settings):
    with pytest.raises(AttributeError):
        fetch_images([None], settings)  # type: ignore[list-item]


def test_a_defect_in_a_process_is_raised(settings):
    async def square() -> None:
        async with pool.SquaringPool(settings) as squaring, asyncio.timeout(20):
            await (await squaring.put([1, 2]))  # type: ignore[arg-type]

    with pytest.raises((AttributeError, TypeError)):
        asyncio.run(square())


def test_a_worker_process_of_dask_squares_without_processes_of_its_own(settings, monkeypatch):
    """It is a daemon of `multiprocessing`, which must not have children."""
    monkeypatch.setattr(pool.multiprocessing, "current_process", lambda: threading.Thread(daemon=True))
    assert pool.process_count(settings) == 1


def test_no_process_outlives_a_run_that_was_killed(host):
    command = [sys.executable, "-c", RUN, host.url("ok"), host.url("hang")]
    run = subprocess.Popen(command, cwd=Path(recsys.__file__).parents[1])
    children = wait_for(lambda: squaring_processes(run.pid) if host.requests["/ok/0"] else None)
    assert children
    run.kill()
    run.wait()
    assert wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in children), 5)
