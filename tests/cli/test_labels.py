"""`recsys labels`: what it shows, the review file that it writes, the answers that it reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from cli import execute
from recsys.core.configuration import load
from recsys.ingest.catalogue.intake import take_in
from recsys.models.labels import ledger
from recsys.storage.lock import lock
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from sample_shop import SampleShop

pytestmark = [pytest.mark.server, pytest.mark.slow]

Recsys = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with 40 products, two of them without a label and one with a suspicious label."""
    things = [("часы", "Watch"), ("Glasses", "Aviator"), ("Glasses", "Wayfarer"), ("glass", "Reading glass")]
    rows = [f"p{n},{things[n % 4][0]} >> All,{things[n % 4][1]} {n},10,http://shop.example/{n}.jpg" for n in range(38)]
    rows += [f"q{n},=Aviator Deluxe (Gold),=Aviator Deluxe,10,http://shop.example/q.jpg" for n in range(2)]
    catalogue, home = tmp_path / "catalogue.csv", tmp_path / "home"
    header = "uniq_id,product_category_tree,product_name,discounted_price,image"
    catalogue.write_text("\n".join([header, *rows]), encoding="utf-8")
    store, configuration = Store(home), load(home, environ={})
    take_in(store, str(catalogue), configuration, datetime(2026, 1, 5, tzinfo=UTC))
    said = [("q0", "Glasses", 0.8), ("q1", "Glasses", 0.7), ("p0", "Glasses", 0.99)]
    predictions = [
        {"product_id": key, "model_version": "1", "label": label, "confidence": confidence}
        for key, label, confidence in said
    ]
    store.write("predictions", pa.Table.from_pylist(predictions, schema=SCHEMAS["predictions"]))
    for shard in ledger.missing(store, configuration):
        ledger.label_shard(store, shard, configuration)
    return home


@pytest.fixture
def recsys(home: Path, capsys: pytest.CaptureFixture[str]) -> Recsys:
    """Run `recsys labels` in this process, and return its exit code, its output and its errors."""

    def run(*arguments: str | Path, home: Path = home) -> tuple[int, str, str]:
        code = execute(["labels", *map(str, arguments), "--home", str(home)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def run_json(recsys: Recsys, *arguments: str | Path) -> dict[str, object]:
    code, printed, complaint = recsys(*arguments, "--json")
    assert code == 0, complaint
    answer: dict[str, object] = json.loads(printed)
    return answer


def fails(done: tuple[int, str, str], code: int, *words: str) -> None:
    """Assert that a command failed as documented: its code, one error line with these words."""
    assert done[0] == code, done
    (error,) = (line for line in done[2].splitlines() if line.startswith("error: "))
    for word in words:
        assert word in error


def answered(path: Path, **answers: str) -> Path:
    """Fill in the column `answer` of a review, as a spreadsheet would."""
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows["answer"] = rows["product_id"].map(answers).fillna("")
    rows.to_csv(path, index=False)
    return path


def test_the_help_of_each_command_has_an_example(home: Path) -> None:
    recsys = Path(sys.executable).with_name("recsys")
    env = os.environ | {"COLUMNS": "200"}
    for command in ("show", "suggest", "review"):
        done = subprocess.run(
            [recsys, "labels", command, "--help"], capture_output=True, text=True, env=env, timeout=60
        )
        assert done.returncode == 0 and f"recsys labels {command}" in done.stdout.split("Examples")[1]
    assert "labels" in subprocess.run([recsys, "--help"], capture_output=True, text=True, env=env, timeout=60).stdout


def test_show_prints_the_number_of_products_by_label_and_its_source(recsys: Recsys) -> None:
    answer = run_json(recsys, "show")
    assert answer["labels"] == [
        *({"label": label, "products": n, "share": pytest.approx(n / 38), "catalogue": n, "merged": 0, "predicted": 0,
           "reviewed": 0} for label, n in [("Glasses", 19), ("часы", 10), ("glass", 9)])
    ]  # fmt: skip
    assert (answer["unlabelled"], answer["to_review"], answer["notes"]) == (2, 2, [])
    code, printed, _ = recsys("show")
    assert code == 0 and "часы" in printed and "2 products have no label" in printed


def test_show_notes_unused_entries_of_a_merge_table_and_a_cycle_is_an_error(recsys: Recsys, home: Path) -> None:
    table = home / "recsys.toml"
    table.write_text('[labels.merge]\nGlasses = ["Glasses", "glas"]\nWatches = ["часы"]\n', encoding="utf-8")
    code, _, noted = recsys("show")
    assert code == 0 and "labels.merge lists 'glas'" in noted and "did you mean 'glass'?" in noted
    table.write_text('[labels.merge]\nA = ["B"]\nB = ["A"]\n')
    fails(recsys("show"), 3, "recsys.toml", "a cycle", "'B' into 'A'", "'A' into 'B'")


def test_suggest_proposes_a_table_and_applies_nothing(recsys: Recsys, home: Path, tmp_path: Path) -> None:
    version = Store(home).version("labels")
    out = tmp_path / "merge.toml"
    answer = run_json(recsys, "suggest", "--out", out)
    proposals = {row["value"]: (row["proposal"], row["merge_into"]) for row in answer["suggestions"]}  # type: ignore[attr-defined]
    assert proposals == {
        "Glasses": ("keep", None),
        "часы": ("keep", None),
        "glass": ("merge", "Glasses"),
        "=Aviator Deluxe (Gold)": ("drop", None),
    }
    merge = tomllib.loads(out.read_text(encoding="utf-8"))["labels"]["merge"]
    assert merge == {"Glasses": ["Glasses", "glass"], "часы": ["часы"]}
    assert not (home / "recsys.toml").exists() and Store(home).version("labels") == version
    code, printed, _ = recsys("suggest")
    assert code == 0 and "nothing was applied" in printed and "2 labels would remain of 4 top levels" in printed
    fails(recsys("suggest", "--out", out), 12, "merge.toml exists")
    (home / "recsys.toml").write_text(out.read_text(encoding="utf-8"), encoding="utf-8")
    assert load(home, environ={}).labels.merge["Glasses"] == ("Glasses", "glass")


def test_answers_of_a_review_are_read_and_kept(recsys: Recsys, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "review.csv"
    code, printed, _ = recsys("review", "--out", out)
    assert code == 0 and "3 to review" in printed and "no label: =Aviator" in printed
    listed = pd.read_csv(out, dtype=str)
    assert listed["why"].tolist() == ["no label: =Aviator Deluxe (Gold)"] * 2 + ["contradicted: часы"]
    assert listed["product_id"].tolist() == ["q1", "q0", "p0"]  # the least sure first
    fails(recsys("review", "--out", out), 12, "may have answers")

    answered(out, q0="Glasses", q1="none", p0="ЧАСЫ")
    done = {"saved": 3, "unchanged": 0, "forgotten": 0, "relabelled": 3, "new_labels": []}
    assert run_json(recsys, "review", "--answers", out) == done
    assert run_json(recsys, "review", "--answers", out) == done | {"saved": 0, "unchanged": 3, "relabelled": 0}
    assert run_json(recsys, "review")["review"] == []
    assert recsys("review")[1] == "No product waits for a review.\n"
    answer = run_json(recsys, "show")
    assert sum(row["reviewed"] for row in answer["labels"]) == 2  # type: ignore[attr-defined]
    assert (answer["unlabelled"], answer["to_review"]) == (1, 0)

    code, printed, _ = recsys("review", "--answers", answered(out, q1="forget"))
    assert code == 0 and "0 answers saved, 0 unchanged, 1 forgotten; 1 products relabelled" in printed
    assert [row["product_id"] for row in run_json(recsys, "review")["review"]] == ["q1"]  # type: ignore[attr-defined]


def test_a_wrong_answer_saves_nothing_and_a_new_label_must_be_allowed(
    recsys: Recsys, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("product_id,answer\nq0,Glasses\nq1,Monokel\n", encoding="utf-8")
    fails(
        recsys("review", "--answers", file),
        15,
        "answers.csv",
        "line 3",
        "'Monokel' is not a label",
        "Nothing was saved",
    )
    assert Store(home).count("reviews") == 0
    code, printed, _ = recsys("review", "--answers", file, "--allow-new")
    assert code == 0 and "2 answers saved" in printed and "New labels: Monokel" in printed


def test_a_wrong_query_is_an_error_on_one_line(recsys: Recsys, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("product_id,answer\n")
    fails(recsys("review", "--answers", file, "--out", file), 2, "name one of them")
    fails(recsys("review", "--allow-new"), 2, "--allow-new goes with --answers")
    fails(recsys("review", "--answers", tmp_path / "nowhere.csv"), 15, "nowhere.csv cannot be read")
    for command in ("show", "suggest", "review"):
        fails(recsys(command, home=tmp_path / "nothing"), 5, "holds no shop yet")
    with lock(home):
        fails(recsys("review", "--answers", file), 5, "is in use")


def test_suggestions_for_a_sample_shop_without_a_table_take_seconds(
    recsys: Recsys, shop: SampleShop, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    store, configuration = Store(other), load(environ={})
    take_in(store, str(shop.catalogue), configuration, datetime(2026, 1, 5, tzinfo=UTC))
    code, printed, complaint = recsys("suggest", home=other)
    assert code == 0, complaint
    assert "nothing was applied" in printed
