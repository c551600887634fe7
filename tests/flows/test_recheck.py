"""Reruns of only what failed: Prefect's Retry, the command, and the flow that rechecks links."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recsys.core.configuration import load
from recsys.reporting.funnel import count_funnel
from recsys.storage.store import Store
from sample_shop import SampleHost, SampleShop
from tests.flows.conftest import prefect, recorded
from tests.waiting import wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.xdist_group("deployments")]

RECSYS = Path(sys.executable).with_name("recsys")
IMAGES: dict[str, Any] = {
    "timeout_s": 1,
    "backoff_s": 0.05,
    "shard_size": 8,
    "shards_at_once": 2,
    "concurrency_per_host": 2,
    "retry_after_max_s": 0.1,
    "allow_hosts": ["127.0.0.1"],
}
FLAGS: dict[str, Any] = {"images": IMAGES, "workflow": {"retries": 0}}


def serving(shop: SampleShop, **options: Any) -> SampleHost:
    return SampleHost(shop.folder, port=int(shop.base_url.rsplit(":", 1)[1]), **options)


@contextmanager
def stopped_in_the_middle(shop: SampleShop) -> Iterator[None]:
    """Serve about twenty images and stop, like a host that goes down for a while."""
    with serving(shop, latency_ms=30) as host:

        def stop() -> None:
            wait_for(lambda: len(host.stats()) >= 20, 60)
            host.__exit__(None, None, None)

        thread = threading.Thread(target=stop)
        thread.start()
        yield
        thread.join()


def names(store: Store, status: str) -> set[str]:
    """Return the names of the images that the products of that status have."""
    ids = store.read("images", ["product_id"], f"status = '{status}'")["product_id"].to_pylist()
    products = store.read("products", ["product_id", "image_urls"]).to_pylist()
    urls = [url for product in products if product["product_id"] in ids for url in product["image_urls"] or ()]
    return {url.rpartition("/")[2] for url in urls}


def test_prefects_retry_requests_only_pending_images(pool: str, shop: SampleShop, tmp_path: Path) -> None:
    """A host goes down during a worker's run; after Retry, as in the UI, the worker fetches the rest."""
    from prefect.client.orchestration import get_client

    home = tmp_path / "home"
    parameters = {"home": str(home), "catalogue": str(shop.catalogue), "flags": FLAGS, "stop_after": "images"}
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name("recommend/recommend")
        run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        with stopped_in_the_middle(shop):
            prefect("worker", "start", "--pool", pool, "--run-once")
        failed = client.read_flow_run(run.id)
        assert failed.state is not None and failed.state.is_failed(), failed.state
        assert "images are pending" in str(failed.state.message)
        tasks, _ = recorded(home)
        shards = [task.name for task in tasks if task.state and task.state.is_failed() and "/" in task.name]
        assert shards and all(name.startswith("images ") for name in shards)

        store = Store(home, read_only=True)
        pending, ok = names(store, "pending"), names(store, "ok")
        assert pending and ok
        with serving(shop) as host:
            prefect("flow-run", "retry", str(run.id))
            prefect("worker", "start", "--pool", pool, "--run-once")
            requested = set(host.stats())
        ended = client.read_flow_run(run.id)
    assert ended.state is not None and ended.state.is_completed(), ended.state
    assert requested and requested <= pending
    counts = count_funnel(store, load(environ={}))
    assert counts.pending == 0 and counts.with_image + counts.broken == counts.products


def recsys(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {
        "RECSYS_HOME": str(home),
        "RECSYS_IMAGES__TIMEOUT_S": "1",
        "RECSYS_IMAGES__BACKOFF_S": "0.05",
        "RECSYS_IMAGES__RETRY_AFTER_MAX_S": "0.1",
        "RECSYS_WORKFLOW__RETRIES": "0",
    }
    command = [str(RECSYS), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=240, check=False)


def test_recsys_retry_requests_only_pending_images(prefect_url: str, shop: SampleShop, tmp_path: Path) -> None:
    home, allowed = tmp_path / "home", ("--allow-host", "127.0.0.1", "--stop-after", "images")
    down = recsys(home, "run", "--catalogue", str(shop.catalogue), *allowed)
    assert down.returncode == 11 and "pending" in down.stderr
    store = Store(home, read_only=True)
    with serving(shop) as host:
        back = recsys(home, "retry", *allowed)
        assert back.returncode == 0, back.stderr
    assert count_funnel(store, load(environ={})).pending == 0

    with serving(shop) as host:
        nothing = recsys(home, "retry", *allowed)
        assert "Nothing to do" in nothing.stdout and not host.stats()
        gone = recsys(home, "retry", "--cause", "404", *allowed)
        assert gone.returncode == 0, gone.stderr
        requested = host.stats()
        broken = store.read("images", ["url"], "cause = 'http_404'")["url"].to_pylist()
        assert set(requested) == {url.rpartition("/")[2] for url in broken} and set(requested.values()) == {1}
        assert recsys(home, "retry", "--broken", "--older-than", "7d", *allowed).returncode == 0
        assert host.stats() == requested
        changed = recsys(home, "retry", "--changed", *allowed)
        assert changed.returncode == 0, changed.stderr
    won = store.read("images", ["url"], "status = 'ok'")["url"].to_pylist()
    assert set(host.stats()) - set(requested) == {url.rpartition("/")[2] for url in won}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--cause", "teapot"), "no link is broken"),
        (("--changed", "--broken"), "--changed"),
        (("--older-than", "7d"), "--older-than goes with"),
        (("--broken", "--older-than", "soon"), "write 7d, 12h or 30m"),
    ],
)
def test_a_wrong_retry_is_an_error_on_one_line(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    home = tmp_path / "home"
    Store(home)
    done = recsys(home, "retry", *arguments)
    assert (
        done.returncode == 2
        and words in " ".join(done.stderr.split()).replace("│ ", "")
        and "Traceback" not in done.stderr
    )


def test_the_flow_rechecks_broken_links_once(
    prefect_url: str, shop: SampleShop, host: SampleHost, tmp_path: Path
) -> None:
    from flows.recheck import recheck
    from flows.recommend import recommend

    home = str(tmp_path / "home")
    recommend(home, str(shop.catalogue), FLAGS, "images")
    broken = names(Store(home), "broken")
    before = host.stats()
    done = recheck(home, "broken", stop_after="images", flags=FLAGS)
    requested = {name for name, number in host.stats().items() if number > before[name]}
    assert requested == broken and done["images"] == count_funnel(Store(home), load(environ={})).broken
    before = host.stats()
    assert recheck(home, flags=FLAGS, stop_after="images") == {"images": 0}
    assert host.stats() == before


def test_a_recheck_while_the_host_is_down_fails_and_keeps_every_picture(
    prefect_url: str, shop: SampleShop, tmp_path: Path
) -> None:
    from flows.recheck import recheck
    from flows.recommend import recommend

    home = str(tmp_path / "home")
    with serving(shop):
        recommend(home, str(shop.catalogue), FLAGS, "images")
    before = count_funnel(Store(home), load(environ={}))
    recheck(home, "ok", flags=FLAGS, stop_after="images")
    assert count_funnel(Store(home), load(environ={})) == before
