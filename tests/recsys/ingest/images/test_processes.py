"""Fetching in several processes: as in one, whatever happens to them, and none is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recsys.core.configuration import Images
from recsys.ingest.images import fetch, processes
from recsys.ingest.images.fetch import fetch_images
from recsys.ingest.images.item import Item
from tests.waiting import wait_for

CHILD = """
import sys, threading
from recsys.core.configuration import Images
from recsys.ingest.images.item import Item
from recsys.ingest.images.fetch import fetch_images
settings = Images(allow_hosts=("127.0.0.1",), processes=2, timeout_s=30)
fetch_images([Item(str(n), (f"{sys.argv[1]}{n}",)) for n in range(4)], settings)
"""


@pytest.fixture
def settings(configuration, monkeypatch) -> Iterator[Images]:
    monkeypatch.setattr(fetch, "LINGER_S", 0.2)
    yield configuration.images.model_copy(update={"processes": 2})
    assert wait_for(lambda: not fetchers(os.getpid()))  # none is left when nothing is fetched any more


def batch(host, faults: list[str], number: int) -> list[Item]:
    return [Item(f"{number}-{n}", (host.url(fault, f"{number}-{n}"),)) for n, fault in enumerate(faults)]


def fetchers(parent: int) -> set[int]:
    """Return the processes that fetch for another."""
    parents, commands = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(entry.name)] = (entry / "cmdline").read_text()
    family = {parent}
    for _ in range(3):
        family |= {pid for pid, its in parents.items() if its in family}
    return {pid for pid in family if "recsys.ingest.images.processes" in commands.get(pid, "")}


def test_batches_in_several_processes_end_as_in_one(host, settings):
    faults = ["ok", "404", "503_then_ok", "empty", *["ok"] * 20]
    told: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(lambda n: fetch_images(batch(host, faults, n), settings, told.append), range(4)))
    alone = settings.model_copy(update={"processes": 1})
    expected = [(o.status, o.cause, o.image and o.image.digest) for o in fetch_images(batch(host, faults, 9), alone)]
    for number, outcomes in enumerate(ended):
        assert [o.product_id for o in outcomes] == [f"{number}-{n}" for n in range(len(faults))]
        assert [(o.status, o.cause, o.image and o.image.digest) for o in outcomes] == expected
    assert sorted(told) == sorted(o.status for outcomes in ended for o in outcomes)


def test_together_they_ask_no_more_of_a_host_at_once_than_one_would(host, settings):
    gentle = settings.model_copy(update={"concurrency_per_host": 4})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: fetch_images(batch(host, ["slow"] * 6, n), gentle), range(4)))
    assert host.most_under_way == 4


def test_they_stay_for_the_next_batch_and_end_when_none_comes(host, settings, monkeypatch):
    monkeypatch.setattr(fetch, "LINGER_S", 2.0)
    fetch_images(batch(host, ["ok"], 0), settings)
    first = fetchers(os.getpid())
    fetch_images(batch(host, ["ok"], 1), settings)
    assert fetchers(os.getpid()) == first
    assert len(first) == 2


def test_a_killed_process_fails_its_batch_at_once_and_the_next_batch_is_fetched(host, settings):
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(fetch_images, batch(host, ["hang"] * 3, 0), settings)
        victims = wait_for(lambda: fetchers(os.getpid()) if host.requests else None)
        assert len(victims) == 2
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        with pytest.raises(ChildProcessError, match="run again"):
            hanging.result(timeout=5)

    def fetched():
        with contextlib.suppress(ChildProcessError):  # that the other was killed is not known yet
            return fetch_images(batch(host, ["ok"], 1), settings)

    assert wait_for(fetched)[0].status == "ok"


def test_a_defect_in_a_process_is_raised_and_hangs_nobody(host, settings):
    with pytest.raises(RuntimeError, match="in a process that fetches images"):
        fetch_images([None], settings)  # type: ignore[list-item]


def test_none_outlives_a_run_that_was_killed(host):
    run = subprocess.Popen([sys.executable, "-c", CHILD, host.url("hang", "")], cwd=Path(processes.__file__).parents[2])
    assert len(left := wait_for(lambda: fetchers(run.pid) if host.requests else None)) == 2
    run.kill()
    run.wait()
    assert wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in left), 5)
