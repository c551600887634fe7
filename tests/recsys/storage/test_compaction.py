"""Tables stay small and fast to read over many commits, and compaction never disturbs a reader."""

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
from recsys.storage.compaction import compact, drop_old_versions, files_of
from recsys.storage.disk_use import disk_use, size_of
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store, among

pytestmark = pytest.mark.slow

SETTINGS = Upkeep()
AT_ONCE = Upkeep(grace_s=1e-3)
"""A grace period that is over at once."""


def pictures(keys: list[str], size: int = 1_000) -> pa.Table:
    rows = [{"product_id": key, "status": "ok", "jpeg": os.urandom(size)} for key in keys]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["images"])


def write_commits(store: Store, commits: int = 40, rows: int = 5) -> None:
    for number in range(commits):
        store.write("images", pictures([f"p{number}-{row}" for row in range(rows)]))


def read(store: Store) -> pa.Table:
    return store.read("images").sort_by("product_id")


def store_size(store: Store) -> int:
    return size_of(store.home / "store")


def test_a_table_of_many_fragments_is_compacted_and_counts_as_unchanged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_commits(store)
    before, version = read(store), store.version("images")
    result = compact(store, SETTINGS)
    assert result.tables == ("images",) and not result.failed
    assert files_of(store, "images").fragments == 1
    assert read(store).equals(before) and store.version("images") == version < store.revision("images")
    assert Store(tmp_path, read_only=True).version("images") == version
    assert not compact(store, SETTINGS).tables
    store.write("images", pictures(["another"]))
    assert store.version("images") == version + 1


def test_a_table_with_little_waste_is_not_compacted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_commits(store, commits=10)
    store.write("images", pictures([f"p{number}-0" for number in range(9)]))  # of 59 rows 9 are dead
    assert not compact(store, SETTINGS).tables
    store.write("images", pictures([f"p{number}-1" for number in range(9)]))
    assert compact(store, SETTINGS).tables == ("images",)


def test_after_a_hundred_small_changes_the_store_is_within_twice_its_data(tmp_path: Path) -> None:
    store, once = Store(tmp_path / "home"), Store(tmp_path / "once")
    keys = [f"p{number}" for number in range(200)]
    store.write("images", pictures(keys, 10_000))
    random = np.random.default_rng(0)
    most = 0
    for _ in range(100):
        time.sleep(2 * AT_ONCE.grace_s)
        drop_old_versions(store, AT_ONCE)
        store.write("images", pictures(random.choice(keys, 2, replace=False).tolist(), 10_000))
        compact(store, AT_ONCE)
        most = max(most, store_size(store))
    once.write("images", store.read("images"))
    assert store.count("images") == 200
    assert files_of(store, "images").fragments <= AT_ONCE.fragments + 1
    assert store_size(store) <= 2 * store_size(once) and most <= 2.5 * store_size(once)


def test_a_replaced_version_is_readable_during_the_grace_period_whatever_its_age(tmp_path: Path) -> None:
    store, grace = Store(tmp_path), Upkeep(grace_s=0.7)
    write_commits(store)
    before, version = read(store), store.version("images")

    def read_old_version() -> pa.Table:
        opened = Store(tmp_path, read_only=True).table("images")
        opened.checkout(version)
        return opened.search().to_arrow().sort_by("product_id")

    time.sleep(1.0)  # longer than the grace period, which starts when the version is replaced
    compact(store, grace)
    assert not drop_old_versions(store, grace).tables
    assert read_old_version().equals(before)
    time.sleep(0.8)
    assert drop_old_versions(store, grace).tables == ("images",)
    with pytest.raises(ValueError):
        read_old_version()
    assert store_size(store) < 1.3 * before.nbytes
    assert read(store).equals(before)


def test_a_reader_during_compaction_gets_whole_tables(tmp_path: Path) -> None:
    store, grace = Store(tmp_path), Upkeep(grace_s=0.5, fragments=2)
    write_commits(store, commits=20)
    ended, counts = threading.Event(), set()

    def reading() -> None:
        while not ended.is_set():
            opened = Store(tmp_path, read_only=True)
            counts.add(opened.read("images", ["product_id", "jpeg"]).num_rows)
            counts.add(opened.read("images", ["jpeg"], among("product_id", ["p3-3"])).num_rows)

    reader = threading.Thread(target=reading)
    reader.start()
    for _ in range(10):
        drop_old_versions(store, grace)
        store.write("images", pictures(["p3-3", "p4-4", "p5-0"]))
        compact(store, grace)
        time.sleep(0.1)
    ended.set()
    reader.join()
    assert counts == {100, 1}


def test_a_key_lookup_works_after_compaction(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(40):
        store.write("images", pictures([f"p{number}"]), new=True)
        store.index("images")
    compact(store, SETTINGS)
    (index,) = store.table("images").list_indices()
    assert index.num_unindexed_rows == 0 and files_of(store, "images").compact
    assert store.read("images", ["product_id"], among("product_id", ["p1", "p39"])).num_rows == 2


def test_one_run_compacts_only_the_worst_of_large_tables(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for table, replaced in (("images", 70), ("views", 40)):  # each half of the store
        rows = [{"product_id": f"p{n}", "url": "u", "status": "ok", "jpeg": os.urandom(2_000)} for n in range(100)]
        for batch in (rows, rows[:replaced]):
            store.write(table, pa.Table.from_pylist(batch, schema=SCHEMAS[table]))
    assert compact(store, SETTINGS).tables == ("images",)
    assert compact(store, SETTINGS).tables == ("views",)


def test_a_table_that_cannot_be_compacted_is_unchanged_and_the_run_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    write_commits(store)
    before = read(store)

    def full(self: Store, table: str, keep: timedelta) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "optimize", full)
    result = compact(store, SETTINGS)
    assert not result.tables and "images is not compacted" in str(result) and "No space left" in str(result)
    assert read(store).equals(before)


def test_a_table_whose_compaction_file_is_damaged_only_counts_as_changed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_commits(store)
    version = store.version("images")
    compact(store, SETTINGS)
    (tmp_path / "upkeep" / "images.json").write_text("{")
    assert store.version("images") > version and store.count("images") == 200


def test_an_interrupted_creation_of_a_table_leaves_no_table(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_commits(store)
    (tmp_path / "store" / "views.lance" / "_versions").mkdir(parents=True)
    assert store.tables() == ["images"] and not store.exists("views") and not store.count("views")
    assert not drop_old_versions(store, AT_ONCE).failed and compact(store, SETTINGS).tables == ("images",)
    view = {"product_id": "p", "url": "u", "status": "ok"}
    store.write("views", pa.Table.from_pylist([view], schema=SCHEMAS["views"]))
    assert store.tables() == ["images", "views"] and store.count("views") == 1


def test_disk_use_counts_every_file_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    write_commits(store, commits=2)
    for name, length in (("logs/prefect.log", 10), ("prefect/prefect.db", 20), ("prefect/results/x", 30), ("more", 40)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"." * length)
    parts = disk_use(tmp_path)
    assert parts["Prefect: kept results"] == 30 and parts["Prefect: what ran"] == 20
    assert parts["pictures"] == size_of(tmp_path / "store" / "images.lance")
    assert sum(parts.values()) == size_of(tmp_path)
    with pytest.raises(HomeError):
        Store(tmp_path / "nowhere", read_only=True)
