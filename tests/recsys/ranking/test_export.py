"""Exported files are complete or absent, safe to open, and name the versions that they are based on."""

import json
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFile

from recsys.core.configuration import Configuration, load
from recsys.core.errors import ExportError
from recsys.models import features
from recsys.ranking import export as exporting
from recsys.ranking.export import COLUMNS, export, ranking_versions
from recsys.storage.store import Store

CONFIGURATION = load(environ={})
IDS = ["=1+1", "-2", "p3", "日本", "@5", 'a"b,c']
NAMES = ["=HYPERLINK(1)", "+1", "Plain", "名前", None, "Line\nbreak"]


@pytest.fixture
def store(small_shop: Callable[..., Store]) -> Store:
    """Six products with ids and names that formulas, encodings and quotes make difficult."""
    return small_shop(IDS, NAMES)


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return pd.read_csv(path, keep_default_na=False)
    return pd.read_json(path, lines=True) if path.suffix == ".jsonl" else pd.read_parquet(path)


@pytest.mark.parametrize("suffix", exporting.SUFFIXES)
def test_each_row_names_the_versions_that_it_is_based_on(store: Store, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / "new" / "folder" / f"all{suffix}"
    count = export(store, CONFIGURATION, out)
    frame = read(out)
    assert count == len(frame) == len(IDS) * (len(IDS) - 1) and list(frame.columns) == COLUMNS
    assert set(frame["model"]) == {features.model_version(CONFIGURATION)}
    assert set(frame["catalogue"]) == {"catalogue-2"}  # the last one read
    assert set(frame["rule"]) == {ranking_versions(store, CONFIGURATION)["rule"]} and frame["rule"][0].startswith(
        "default-"
    )
    assert frame["rank"].tolist()[:6] == [1, 2, 3, 4, 5, 1]
    np.testing.assert_allclose(frame["visual"] * 2 + frame["colour"] + frame["price"] * 0.5, frame["total"], atol=1e-5)
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_parquet_has_the_versions_in_the_metadata_of_the_schema(store: Store, tmp_path: Path) -> None:
    export(store, CONFIGURATION, tmp_path / "all.parquet")
    metadata = pq.read_schema(tmp_path / "all.parquet").metadata
    versions = {name: metadata[f"recsys.{name}".encode()].decode() for name in ("model", "catalogue", "rule")}
    assert versions == ranking_versions(store, CONFIGURATION)


def test_a_ranking_by_an_older_rule_has_no_rule_and_no_catalogue(store: Store, tmp_path: Path) -> None:
    other: Configuration = load(flags={"recommend": {"colour_weight": 3}}, environ={})
    assert ranking_versions(store, other)["rule"] != ranking_versions(store, CONFIGURATION)["rule"]
    export(store, other, tmp_path / "all.parquet")
    frame = read(tmp_path / "all.parquet")
    assert frame["rule"].isna().all() and frame["catalogue"].isna().all() and frame["model"].notna().all()


def test_no_cell_of_the_csv_is_a_formula_and_the_other_formats_are_unchanged(store: Store, tmp_path: Path) -> None:
    for suffix in exporting.SUFFIXES:
        export(store, CONFIGURATION, tmp_path / f"all{suffix}")
    table = read(tmp_path / "all.csv")
    for column in ("product_id", "name", "neighbour_id"):
        assert not table[column].str.match(r"[=+\-@\t\r]").any()
    assert set(table["product_id"]) == {"'=1+1", "'-2", "p3", "日本", "'@5", 'a"b,c'}
    for suffix in (".jsonl", ".parquet"):
        frame = read(tmp_path / f"all{suffix}")
        assert set(map(str, frame["product_id"])) == set(IDS) and set(frame["name"].dropna()) == {*NAMES} - {None}
    lines = (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()
    assert "日本" in "".join(lines) and all(json.loads(line)["rank"] >= 1 for line in lines)
    digits = [cell.rpartition(".")[2] for cell in (tmp_path / "all.csv").read_text().split(",") if cell[:2] == "0."]
    assert digits and max(map(len, digits)) <= exporting.DECIMALS


@pytest.mark.parametrize("suffix", exporting.SUFFIXES)
def test_an_object_store_receives_the_same_file(store: Store, tmp_path: Path, suffix: str) -> None:
    export(store, CONFIGURATION, tmp_path / f"all{suffix}")
    export(store, CONFIGURATION, f"memory://bucket/day/all{suffix}")
    export(store, CONFIGURATION, f"file://{tmp_path}/again/all{suffix}")
    content = (tmp_path / f"all{suffix}").read_bytes()
    assert fsspec.filesystem("memory").cat(f"/bucket/day/all{suffix}") == content
    assert (tmp_path / "again" / f"all{suffix}").read_bytes() == content


def test_a_failed_upload_keeps_the_old_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/all.csv", b"yesterday")
    monkeypatch.setattr(exporting.shutil, "copyfileobj", write_half)
    with pytest.raises(ExportError, match=r"memory://bucket/all\.csv: reset by peer"):
        export(store, CONFIGURATION, "memory://bucket/all.csv")
    with pytest.raises(ExportError, match="reset by peer"):
        export(store, CONFIGURATION, "memory://bucket/new.csv")
    assert memory.cat("/bucket/all.csv") == b"yesterday" and not memory.exists("/bucket/new.csv")


def write_half(source: object, target: MemoryFile, length: int) -> None:
    target.write(b"half")
    raise ConnectionResetError("reset by peer")


def test_a_full_disk_keeps_the_old_file(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out" / "all.csv"
    out.parent.mkdir()
    out.write_text("yesterday")

    def fail(frame: pd.DataFrame, path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "write_csv", fail)
    with pytest.raises(ExportError, match="No space left"):
        export(store, CONFIGURATION, out)
    assert out.read_text() == "yesterday" and list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("all.xlsx", r"'all.xlsx': its name must end in one of .csv, .jsonl, .parquet"),
        ("memory://bucket/all", r"must end in one of"),
        ("nosuch://key:secret@bucket/all.csv", r"nosuch://bucket/all.csv: Protocol not known: nosuch"),
        ("/proc/nowhere/all.csv", r"cannot write /proc/nowhere/all.csv"),
    ],
)
def test_an_impossible_target_is_an_error_without_secrets(store: Store, out: str, message: str) -> None:
    with pytest.raises(ExportError, match=message) as raised:
        export(store, CONFIGURATION, out)
    assert "secret" not in str(raised.value)


def test_exporting_an_empty_shop_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no recommendations yet"):
        export(Store(tmp_path / "home"), CONFIGURATION, tmp_path / "all.csv")
    assert not (tmp_path / "all.csv").exists()
