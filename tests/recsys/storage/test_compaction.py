"""Tables that are written again and again stay small and fast to read, and whoever reads them is never disturbed."""

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recsys.core.configuration import Upkeep
from recsys.core.errors import HomeError
from recsys.storage import compaction as upkeep
from recsys.storage.store import SCHEMAS, Store, among

SETTINGS = Upkeep()
AT_ONCE = Upkeep(grace_s=1e-3)
"""Nobody reads old versions."""


def pictures(keys: list[str], size: int = 1_000) -> pa.Table:
    rows = [{"product_id": key, "status": "ok", "jpeg": os.urandom(size)} for key in keys]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["images"])


def written(store: Store, commits: int = 40, rows: int = 5) -> None:
    for number in range(commits):
        store.write("images", pictures([f"p{number}-{row}" for row in range(rows)]))


def read(store: Store) -> pa.Table:
    return store.read("images").sort_by("product_id")


def size(store: Store) -> int:
    return upkeep.size_of(store.home / "store")


def test_a_table_in_many_pieces_is_written_anew_and_counts_as_unchanged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    written(store)
    before, version = read(store), store.version("images")
    kept = upkeep.compact(store, SETTINGS)
    assert kept.tables == ("images",) and not kept.failed
    assert upkeep.files_of(store, "images").fragments == 1
    assert read(store).equals(before) and store.version("images") == version < store.revision("images")
    assert Store(tmp_path, read_only=True).version("images") == version
    assert not upkeep.compact(store, SETTINGS).tables
    store.write("images", pictures(["another"]))
    assert store.version("images") == version + 1


def test_a_little_waste_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    written(store, commits=10)
    store.write("images", pictures([f"p{number}-0" for number in range(9)]))  # of 59 rows 9 are dead
    assert not upkeep.compact(store, SETTINGS).tables
    store.write("images", pictures([f"p{number}-1" for number in range(9)]))
    assert upkeep.compact(store, SETTINGS).tables == ("images",)


def test_after_a_hundred_small_changes_the_store_is_within_twice_its_data(tmp_path: Path) -> None:
    store, once = Store(tmp_path / "home"), Store(tmp_path / "once")
    keys = [f"p{number}" for number in range(200)]
    store.write("images", pictures(keys, 10_000))
    random = np.random.default_rng(0)
    most = 0
    for _ in range(100):
        time.sleep(2 * AT_ONCE.grace_s)
        upkeep.let_go(store, AT_ONCE)
        store.write("images", pictures(random.choice(keys, 2, replace=False).tolist(), 10_000))
        upkeep.compact(store, AT_ONCE)
        most = max(most, size(store))
    once.write("images", store.read("images"))
    assert store.count("images") == 200
    assert upkeep.files_of(store, "images").fragments <= AT_ONCE.fragments + 1
    assert size(store) <= 2 * size(once) and most <= 2.5 * size(once)


def test_an_old_version_can_be_read_for_its_grace_however_old_it_is(tmp_path: Path) -> None:
    store, grace = Store(tmp_path), Upkeep(grace_s=0.7)
    written(store)
    before, version = read(store), store.version("images")

    def as_it_was() -> pa.Table:
        opened = Store(tmp_path, read_only=True).table("images")
        opened.checkout(version)
        return opened.search().to_arrow().sort_by("product_id")

    time.sleep(1.0)  # longer than the grace: what counts is when another took its place
    upkeep.compact(store, grace)
    assert not upkeep.let_go(store, grace).tables
    assert as_it_was().equals(before)
    time.sleep(0.8)
    assert upkeep.let_go(store, grace).tables == ("images",)
    with pytest.raises(ValueError):
        as_it_was()
    assert size(store) < 1.3 * before.nbytes
    assert read(store).equals(before)


def test_who_reads_while_tables_are_written_anew_gets_whole_tables(tmp_path: Path) -> None:
    store, grace = Store(tmp_path), Upkeep(grace_s=0.5, fragments=2)
    written(store, commits=20)
    ended, counts = threading.Event(), set()

    def reading() -> None:
        while not ended.is_set():
            there = Store(tmp_path, read_only=True)
            counts.add(there.read("images", ["product_id", "jpeg"]).num_rows)
            counts.add(there.read("images", ["jpeg"], among("product_id", ["p3-3"])).num_rows)

    reader = threading.Thread(target=reading)
    reader.start()
    for _ in range(10):
        upkeep.let_go(store, grace)
        store.write("images", pictures(["p3-3", "p4-4", "p5-0"]))
        upkeep.compact(store, grace)
        time.sleep(0.1)
    ended.set()
    reader.join()
    assert counts == {100, 1}


def test_rows_are_found_by_their_key_in_a_table_that_was_written_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(40):
        store.write("images", pictures([f"p{number}"]), new=True)
        store.index("images")
    upkeep.compact(store, SETTINGS)
    (index,) = store.table("images").list_indices()
    assert index.num_unindexed_rows == 0 and upkeep.files_of(store, "images").compact
    assert store.read("images", ["product_id"], among("product_id", ["p1", "p39"])).num_rows == 2


def test_of_large_tables_only_the_worst_is_written_anew_in_one_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for table, replaced in (("images", 70), ("views", 40)):  # each half of the store
        rows = [{"product_id": f"p{n}", "url": "u", "status": "ok", "jpeg": os.urandom(2_000)} for n in range(100)]
        for written in (rows, rows[:replaced]):
            store.write(table, pa.Table.from_pylist(written, schema=SCHEMAS[table]))
    assert upkeep.compact(store, SETTINGS).tables == ("images",)
    assert upkeep.compact(store, SETTINGS).tables == ("views",)


def test_a_table_that_cannot_be_written_anew_stays_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    written(store)
    before = read(store)

    def full(self: Store, table: str, keep: timedelta) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "optimize", full)
    kept = upkeep.compact(store, SETTINGS)
    assert not kept.tables and "images stays as it is" in str(kept) and "No space left" in str(kept)
    assert read(store).equals(before)


def test_a_note_that_is_lost_makes_a_table_count_as_changed_and_no_more(tmp_path: Path) -> None:
    store = Store(tmp_path)
    written(store)
    version = store.version("images")
    upkeep.compact(store, SETTINGS)
    (tmp_path / "upkeep" / "images.json").write_text("{")
    assert store.version("images") > version and store.count("images") == 200


def test_disk_use_counts_every_file_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    written(store, commits=2)
    for name, length in (("logs/prefect.log", 10), ("prefect/prefect.db", 20), ("prefect/results/x", 30), ("more", 40)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"." * length)
    told = upkeep.disk_use(tmp_path)
    assert told["Prefect: kept results"] == 30 and told["Prefect: what ran"] == 20
    assert told["pictures"] == upkeep.size_of(tmp_path / "store" / "images.lance")
    assert sum(told.values()) == upkeep.size_of(tmp_path)
    with pytest.raises(HomeError):
        Store(tmp_path / "nowhere", read_only=True)
