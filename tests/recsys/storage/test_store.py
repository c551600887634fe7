import json
import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from recsys.core.digests import digest
from recsys.core.errors import HomeError
from recsys.storage.home import require_space
from recsys.storage.lock import lock
from recsys.storage.schemas import SCHEMAS
from recsys.storage.shards import shards
from recsys.storage.store import INDEX_INTERVAL, Store, among, literal
from tests.waiting import wait_for


def labels(*pairs: tuple[str, str]) -> pa.Table:
    rows = [{"product_id": key, "label": label} for key, label in pairs]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["labels"])


def stored(store: Store) -> dict[str, str]:
    table = store.read("labels", ["product_id", "label"])
    return dict(zip(table["product_id"].to_pylist(), table["label"].to_pylist(), strict=True))


def test_rows_are_merged_by_key(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write("labels", labels(("a", "Pens"), ("b", "Watches")))
    store.write("labels", labels(("b", "Footwear"), ("c", "Pens")))
    assert stored(store) == {"a": "Pens", "b": "Footwear", "c": "Pens"}


def test_a_write_with_replace_deletes_the_other_matching_rows(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = [{"product_id": "a", "rank": rank, "neighbour_id": "b"} for rank in (1, 2, 3)]
    store.write("recommendations", pa.Table.from_pylist(rows, schema=SCHEMAS["recommendations"]))
    fewer = pa.Table.from_pylist(rows[:1], schema=SCHEMAS["recommendations"])
    store.write("recommendations", fewer, replace=among("product_id", ["a"]))
    assert store.read("recommendations", ["rank"])["rank"].to_pylist() == [1]


def test_a_table_that_was_never_written_reads_as_empty(tmp_path: Path) -> None:
    empty = Store(tmp_path).read("images", ["product_id", "status"])
    assert empty.num_rows == 0 and empty.column_names == ["product_id", "status"]
    assert Store(tmp_path).count("images") == 0


def test_a_column_of_a_later_version_is_null_in_an_older_table_until_it_is_written(tmp_path: Path) -> None:
    older = SCHEMAS["products"].remove(SCHEMAS["products"].get_field_index("in_stock"))
    store = Store(tmp_path)
    store._db.create_table("products", pa.Table.from_pylist([{"product_id": "a", "name": "Pen"}], schema=older))
    asked = ["in_stock", "name"]
    assert store.read("products", asked).to_pylist() == [{"in_stock": None, "name": "Pen"}]
    store.write("products", pa.Table.from_pylist([{"product_id": "b", "in_stock": True}], schema=SCHEMAS["products"]))
    assert store.read("products", asked, "product_id = 'a'").to_pylist() == [{"in_stock": None, "name": "Pen"}]
    assert store.read("products", asked, "in_stock").to_pylist() == [{"in_stock": True, "name": None}]


@pytest.mark.parametrize("key", ["o'brien", "'; DROP TABLE labels; --", "../../etc/passwd", "日本", 'a"b', ""])
def test_any_product_id_can_be_queried(tmp_path: Path, key: str) -> None:
    store = Store(tmp_path)
    store.write("labels", labels((key, "Pens"), ("other", "Watches")))
    assert store.read("labels", ["label"], f"product_id = {literal(key)}")["label"].to_pylist() == ["Pens"]
    assert store.count("labels", among("product_id", [key, "missing"])) == 1
    assert store.count("labels", among("product_id", [])) == 0


def test_an_index_changes_no_result_whatever_is_written_after_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(INDEX_INTERVAL + 2):  # some rows are indexed, some came later, some were changed since
        store.write("labels", labels((f"p{number}", "Pens"), ("changed", f"Watches {number}")))
        store.index("labels")
    assert store._db.open_table("labels").list_indices()
    last = INDEX_INTERVAL + 1
    found = store.read("labels", ["product_id", "label"], among("product_id", ["p0", f"p{last}", "changed", "missing"]))
    assert sorted(map(tuple, (row.values() for row in found.to_pylist()))) == [
        ("changed", f"Watches {last}"), ("p0", "Pens"), (f"p{last}", "Pens"),
    ]  # fmt: skip


def test_threads_commit_concurrently(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: store.write("labels", labels((f"p{n}", "Pens"), (f"q{n}", "Pens"))), range(16)))
    assert len(stored(store)) == 32


@pytest.mark.parametrize("attempt", range(5))
def test_threads_that_create_a_table_together_lose_nothing(tmp_path: Path, attempt: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: Store(tmp_path).write("labels", labels((f"p{n}", "Pens"))), range(8)))
    assert len(stored(Store(tmp_path))) == 8


def _write_for_ever(home: Path) -> None:
    store = Store(home)
    for number in range(10_000):
        store.write("labels", labels(*((f"{number}-{row}", "Pens") for row in range(50))))


@pytest.mark.slow
def test_a_killed_writer_leaves_whole_commits(tmp_path: Path) -> None:
    writer = multiprocessing.get_context("spawn").Process(target=_write_for_ever, args=(tmp_path,))
    writer.start()
    wait_for((tmp_path / "store" / "labels.lance").exists, 30)
    time.sleep(0.5)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    counts: dict[str, int] = {}
    for key in stored(Store(tmp_path)):
        shard = key.split("-")[0]
        counts[shard] = counts.get(shard, 0) + 1
    assert counts and set(counts.values()) == {50}


def test_a_home_of_a_newer_version_is_refused_and_unchanged(tmp_path: Path) -> None:
    mark = tmp_path / "home.json"
    mark.write_text(json.dumps({"format": 99, "id": "x"}))
    with pytest.raises(HomeError, match=r"newer version"):
        Store(tmp_path)
    assert json.loads(mark.read_text())["format"] == 99


def test_a_folder_with_other_files_does_not_become_a_home(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(HomeError, match="not empty"):
        Store(tmp_path)


def test_a_damaged_home_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "home.json").write_text("{")
    with pytest.raises(HomeError, match="damaged"):
        Store(tmp_path)


def test_a_home_that_is_not_writable_is_refused() -> None:
    with pytest.raises(HomeError, match="home /proc/shop"):
        Store("/proc/shop")


def test_reading_creates_no_home(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="holds no shop yet"):
        Store(tmp_path / "nowhere", read_only=True)
    assert not (tmp_path / "nowhere").exists()


def test_a_second_run_gets_the_process_id_of_the_first(tmp_path: Path) -> None:
    with (
        lock(tmp_path),
        pytest.raises(HomeError, match=f"in use by process {os.getpid()}"),
        lock(tmp_path),
    ):
        pass
    with lock(tmp_path):
        pass


def test_a_full_disk_is_reported_before_the_work_starts(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="MB free"):
        require_space(tmp_path, 1 << 60)


def test_shards_cover_the_keys_in_order() -> None:
    made = shards("images", [f"k{n}" for n in range(10)], 4)
    assert [key for shard in made for key in shard.keys] == [f"k{n}" for n in range(10)]
    assert [str(shard) for shard in made] == ["images 1/3", "images 2/3", "images 3/3"]
    assert shards("images", [], 4) == []


def test_the_same_work_has_the_same_digest_and_new_work_another() -> None:
    first, again = (shards("images", ["a", "b"], 2, ["u1", "u2"])[0] for _ in range(2))
    assert first.digest == again.digest
    assert shards("images", ["a", "b"], 2, ["u1", "u3"])[0].digest != first.digest
    assert shards("features", ["a", "b"], 2, ["u1", "u2"])[0].digest != first.digest


def test_a_digest_depends_on_the_borders_of_its_parts() -> None:
    assert digest(["ab", "c"]) != digest(["a", "bc"])
