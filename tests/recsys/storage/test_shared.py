"""A store on S3 that several machines share; a home folder stands for a machine."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks import machines
from recsys.core.configuration import load
from recsys.core.errors import ConfigurationError, HomeError
from recsys.models.embedding.serving import Pointer, folder, point, pointer
from recsys.storage import shared
from recsys.storage.lock import lock
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with machines.s3_server("127.0.0.1", tmp_path_factory.mktemp("s3") / "log") as environment:
        yield environment


@pytest.fixture
def url(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RECSYS_STORE__URL", given := f"s3://{machines.BUCKET}/{tmp_path.name}")
    return given


def labels(*keys: str) -> pa.Table:
    return pa.Table.from_pylist([{"product_id": key, "label": "Pens"} for key in keys], schema=SCHEMAS["labels"])


def test_what_one_machine_writes_another_reads(url: str, tmp_path: Path) -> None:
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    assert one.id == other.id
    one.write("labels", labels("a", "b"))
    other.write("labels", labels("b", "c"))
    assert sorted(one.read("labels", ["product_id"])["product_id"].to_pylist()) == ["a", "b", "c"]
    assert other.exists("labels") and not other.exists("images") and other.version("labels") == one.version("labels")
    assert not (tmp_path / "one" / "store").exists()


def _write(home: Path, together: Any, number: int) -> None:
    store = Store(home)
    together.wait(60)
    store.write("labels", labels(str(number)))


@pytest.mark.parametrize("sharing", [False, True], ids=["a folder", "S3"])
def test_processes_that_make_a_table_together_lose_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharing: bool
) -> None:
    """LanceDB alone would have the second empty what the first has made."""
    if not sharing:
        monkeypatch.delenv("RECSYS_STORE__URL")
    homes = [tmp_path / (f"machine-{number}" if sharing else "home") for number in range(2)]
    Store(homes[0])
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(len(homes))
    started = [spawn.Process(target=_write, args=(home, together, at)) for at, home in enumerate(homes)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert Store(homes[0]).count("labels") == len(homes)


def test_what_serves_is_the_same_on_all_machines(url: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    Store(one)
    point(one, Pointer("first"))
    Store(other)
    assert pointer(other) == Pointer("first")
    with lock(tmp_path / "third"):  # as a flow begins on a machine that has nothing yet
        assert Store(tmp_path / "third").is_shared and pointer(tmp_path / "third") == Pointer("first")
    point(one, Pointer("second", ("first",)))  # within the same second
    Store(other)
    assert pointer(other) == Pointer("second", ("first",))
    shared.delete(one, folder(one) / "champion.json")
    Store(other)
    assert pointer(other) == Pointer() and not (folder(other) / "champion.json").exists()


def test_a_model_is_copied_when_another_machine_uses_it_and_its_checkpoints_are_not(url: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    Store(one)
    place = folder(one) / "v1"
    for name in ("model/weights.bin", "model/parts/more.bin", "checkpoints/epoch.bin", "gate.csv"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    shared.give(one, place)
    Store(other)
    there = folder(other) / "v1"
    assert (there / "gate.csv").exists() and not (there / "model").exists()
    shared.take(other, there / "model")
    assert (there / "model/parts/more.bin").read_text() == "model/parts/more.bin"
    assert not (there / "checkpoints").exists()


def test_one_machine_works_at_a_time_and_the_other_is_told_who(url: str, tmp_path: Path) -> None:
    in_use = pytest.raises(HomeError, match=r"in use by process \d+ on ")
    with lock(tmp_path / "one"), in_use, lock(tmp_path / "other"):
        pass
    with lock(tmp_path / "other"):
        pass


def test_the_lease_of_a_machine_that_stands_still_is_another_ones(url: str, tmp_path: Path) -> None:
    """It renews no more; the other takes over, and the first is told when it comes back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "LEASE_S", 0.4)
        patch.setattr(shared._Lease, "_renew", lambda self: None)
        first = shared.lease(tmp_path / "one", 0.0)
        first.__enter__()
    with shared.lease(tmp_path / "other", time.monotonic() + 5), pytest.raises(HomeError, match="was lost"):
        first.__exit__(None, None, None)


def test_a_home_with_tables_of_its_own_is_not_taken_for_a_copy(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECSYS_STORE__URL")
    Store(tmp_path / "home")
    monkeypatch.setenv("RECSYS_STORE__URL", url)
    Store(tmp_path / "another")
    with pytest.raises(HomeError, match="is not of the store at s3://"):
        Store(tmp_path / "home")


def test_a_store_that_does_not_answer_is_said_and_what_to_look_at(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_STORE__URL", "s3://no-such-bucket/shop")
    with pytest.raises(HomeError, match=r"no-such-bucket/shop cannot be used.*AWS_ENDPOINT_URL"):
        Store(tmp_path / "home")


@pytest.mark.parametrize("wrong", ["/mnt/shop", "s3://bucket", "s3://bucket/shop/", "http://host/shop"])
def test_what_is_no_object_store_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"store\.url"):
        load(None, {"store": {"url": wrong}}, environ={})
