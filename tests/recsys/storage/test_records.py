"""Records: small JSON values of a home in one table, and the files that they replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recsys.core.errors import HomeError
from recsys.storage import records
from recsys.storage.store import Store, literal

OLD_FILES = {
    "embedding/champion.json": {"version": "e2", "before": [None, "e1"]},
    "embedding/challenger.json": {"version": "e3"},
    "embedding/e2/trained.json": {"size": 8},
    "embedding/e2/model/embedding.json": {"not": "a record"},
    "classifier/at-hand.json": {"labels": ["Stifte", "鞋子"]},
    "classifier/c1/trained.json": {"labels": []},
    "index/embeddings-e2.json": {"recall": 0.99},
    "refreshed.json": {"state": "s"},
    "drift.json": {"not": "a record"},
}
NEW_RECORDS = {
    "embedding/champion": {"version": "e2", "before": [None, "e1"]},
    "embedding/challenger": {"version": "e3"},
    "embedding/e2": {"size": 8},
    "classifier/current": {"labels": ["Stifte", "鞋子"]},
    "classifier/c1": {"labels": []},
    "index/embeddings-e2": {"recall": 0.99},
    "refreshed": {"state": "s"},
}


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    """A home of format 1."""
    for name, content in OLD_FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    (tmp_path / "home.json").write_text('{"format": 1, "id": "shop"}')
    (tmp_path / "store").mkdir()
    return tmp_path


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    value = {"labels": ["Stifte", "鞋子"], "threshold": None, "share": 0.25}
    records.write(tmp_path, {"classifier/current": value, "refreshed": {}})
    assert records.read(tmp_path, "classifier/current") == value
    assert records.read(tmp_path, "classifier/other") is None
    assert records.read_all(tmp_path, "classifier/") == {"classifier/current": value}


def test_a_folder_without_a_home_has_no_records(tmp_path: Path) -> None:
    assert records.read_all(tmp_path / "missing") == {} and not (tmp_path / "missing").exists()


def test_records_are_in_the_order_of_writing(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        records.write(tmp_path, {name: 1})
    records.write(tmp_path, {"b": 2})
    assert list(records.read_all(tmp_path).items()) == [("c", 1), ("a", 1), ("b", 2)]


def test_writing_and_deleting_is_one_commit(tmp_path: Path) -> None:
    records.write(tmp_path, {"embedding/challenger": 1, "embedding/champion": 1, "other": 1})
    commits = Store(tmp_path).version("records")
    records.write(tmp_path, {"embedding/champion": 2}, delete=["embedding/challenger", "missing"])
    assert records.read_all(tmp_path) == {"other": 1, "embedding/champion": 2}
    assert Store(tmp_path).version("records") == commits + 1
    records.write(tmp_path, {}, delete=["other"])
    assert records.read_all(tmp_path) == {"embedding/champion": 2}


def test_a_damaged_record_is_an_error_that_names_it(tmp_path: Path) -> None:
    records.write(tmp_path, {"refreshed": {}})
    Store(tmp_path).table("records").update(where=f"name = {literal('refreshed')}", values={"record": "{"})
    with pytest.raises(HomeError, match=r"record 'refreshed' of home .* is damaged .*backup"):
        records.read(tmp_path, "refreshed")


def test_a_home_of_format_1_is_read_without_a_change(old_home: Path) -> None:
    before = sorted(old_home.rglob("*"))
    assert records.read_all(old_home) == NEW_RECORDS
    assert sorted(old_home.rglob("*")) == before


def test_a_home_of_format_1_is_upgraded_when_it_is_opened_for_writing(old_home: Path) -> None:
    assert Store(old_home).id == "shop"
    assert json.loads((old_home / "home.json").read_text()) == {"format": 2, "id": "shop"}
    (old_home / "embedding" / "champion.json").write_text("{")  # no longer read
    assert records.read_all(old_home) == NEW_RECORDS


def test_an_upgrade_that_was_killed_before_its_end_continues(old_home: Path) -> None:
    Store(old_home)
    records.write(old_home, {"refreshed": {"state": "t"}})
    (old_home / "home.json").write_text('{"format": 1, "id": "shop"}')  # killed after the table was created
    assert records.read(old_home, "refreshed") == {"state": "t"}
    Store(old_home)
    assert records.read_all(old_home) == NEW_RECORDS | {"refreshed": {"state": "t"}}
