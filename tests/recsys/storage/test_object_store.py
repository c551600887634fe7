"""A store on S3 that several machines share; each home folder is one machine."""

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
from recsys.storage import lease as leases
from recsys.storage import object_store, records
from recsys.storage.lease import lease
from recsys.storage.lock import lock
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with machines.s3_server("127.0.0.1", tmp_path_factory.mktemp("s3") / "log") as environment:
        yield environment


@pytest.fixture
def url(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RECSYS_STORE__URL", url := f"s3://{machines.BUCKET}/{tmp_path.name}")
    return url


def labels(*keys: str) -> pa.Table:
    return pa.Table.from_pylist([{"product_id": key, "label": "Pens"} for key in keys], schema=SCHEMAS["labels"])


def test_a_machine_reads_what_another_has_written(url: str, tmp_path: Path) -> None:
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
def test_processes_that_create_a_table_together_lose_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharing: bool
) -> None:
    """With LanceDB alone the second process would empty the table of the first."""
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


def test_a_record_is_the_same_on_all_machines(url: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    records.write(one, {"embedding/champion": {"version": "first"}})
    assert records.read(other, "embedding/champion") == {"version": "first"}  # a machine without a home yet
    with lock(tmp_path / "third"):
        assert Store(tmp_path / "third").is_shared
    records.write(one, {"embedding/champion": {"version": "second"}})
    assert records.read(tmp_path / "third", "embedding/champion") == {"version": "second"}
    records.write(other, {}, delete=["embedding/champion"])
    assert records.read_all(one) == {}


def test_a_model_is_copied_when_another_machine_uses_it_and_its_checkpoints_are_not(url: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    Store(one)
    for name in ("model/weights.bin", "model/parts/more.bin", "checkpoints/epoch.bin", "gate.csv"):
        file = one / "embedding" / "v1" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    object_store.upload(one, one / "embedding" / "v1")
    Store(other)
    copy = other / "embedding" / "v1"
    object_store.download(other, copy / "gate.csv")
    assert (copy / "gate.csv").read_text() == "gate.csv" and not (copy / "model").exists()
    object_store.download(other, copy / "model")
    assert (copy / "model/parts/more.bin").read_text() == "model/parts/more.bin"
    assert not (copy / "checkpoints").exists()
    object_store.download(other, copy / "missing.csv")
    assert sorted(path.name for path in copy.iterdir()) == ["gate.csv", "model"]
    object_store.delete(one, one / "embedding" / "v1")
    assert not (one / "embedding" / "v1").exists()
    object_store.download(one, one / "embedding" / "v1")
    assert not (one / "embedding" / "v1").exists()


def test_the_records_of_format_1_are_taken_over_from_the_object_store(url: str, tmp_path: Path) -> None:
    objects = object_store.connect(tmp_path / "one")
    assert objects is not None
    objects.put("home.json", b'{"format": 1, "id": "shop"}')
    objects.put("embedding/champion.json", b'{"version": "first"}')
    objects.put("embedding/first/trained.json", b'{"size": 8}')
    objects.put("embedding/first/model/embedding.json", b"{}")
    found = {"embedding/champion": {"version": "first"}, "embedding/first": {"size": 8}}
    assert records.read_all(tmp_path / "one") == found
    assert not Store(tmp_path / "one", read_only=True).exists("records")
    Store(tmp_path / "two")
    records.write(tmp_path / "two", {}, delete=["embedding/first"])
    assert records.read_all(tmp_path / "one") == {"embedding/champion": {"version": "first"}}
    assert Store(tmp_path / "one").format == 2


def test_one_machine_works_at_a_time_and_the_other_learns_which(url: str, tmp_path: Path) -> None:
    in_use = pytest.raises(HomeError, match=r"in use by process \d+ on ")
    with lock(tmp_path / "one"), in_use, lock(tmp_path / "other"):
        pass
    with lock(tmp_path / "other"):
        pass


def test_a_lease_that_is_not_renewed_passes_to_another_machine(url: str, tmp_path: Path) -> None:
    """The first machine gets an error when it continues."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leases, "LEASE_S", 0.4)
        patch.setattr(leases._Lease, "_renew", lambda self: None)
        first = lease(tmp_path / "one", 0.0)
        first.__enter__()
    with lease(tmp_path / "other", time.monotonic() + 5), pytest.raises(HomeError, match="was lost"):
        first.__exit__(None, None, None)


def test_a_home_with_its_own_tables_does_not_join_an_object_store(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECSYS_STORE__URL")
    Store(tmp_path / "home")
    monkeypatch.setenv("RECSYS_STORE__URL", url)
    Store(tmp_path / "another")
    with pytest.raises(HomeError, match="is not of the store at s3://"):
        Store(tmp_path / "home")


def test_a_store_that_does_not_answer_is_an_error_with_a_remedy(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_STORE__URL", "s3://no-such-bucket/shop")
    with pytest.raises(HomeError, match=r"no-such-bucket/shop cannot be used.*AWS_ENDPOINT_URL"):
        Store(tmp_path / "home")


@pytest.mark.parametrize("wrong", ["/mnt/shop", "s3://bucket", "s3://bucket/shop/", "http://host/shop"])
def test_a_url_that_is_not_an_object_store_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"store\.url"):
        load(None, {"store": {"url": wrong}}, environ={})
