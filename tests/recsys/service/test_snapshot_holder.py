"""A new snapshot after a run has changed the home, over a real server."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from recsys.storage.lock import lock
from tests.recsys.service.running_service import fill, serving, with_settings
from tests.waiting import wait_for


def test_the_changes_of_a_run_appear_at_its_end_and_no_request_fails(tmp_path: Path) -> None:
    store = fill(tmp_path / "home")
    statuses: list[int] = []
    with serving(store.home, with_settings(refresh_s=0.05)) as service:
        before = service.get("/products/p1/similar").json()
        done = threading.Event()

        def send_requests() -> None:
            while not done.is_set():
                statuses.append(service.get(f"/products/p{len(statuses) % 30}/similar").status)

        client = threading.Thread(target=send_requests)
        client.start()
        rows = store.read("products", where="product_id = 'p1'").to_pylist()
        rows[0] |= {"name": "Renamed", "row_digest": "new"}
        with lock(store.home):
            store.write("products", store.read("products").from_pylist(rows, schema=store.read("products").schema))
            time.sleep(1)
            during = service.get("/products/p1/similar").json()
        wait_for(lambda: service.get("/products/p1/similar").json()["query"]["name"] == "Renamed", pause_s=0.05)
        done.set()
        client.join()
    assert before["query"]["name"] == during["query"]["name"] == "Thing 1", (
        "changes must not appear before the run has ended"
    )
    assert set(statuses) == {200}
