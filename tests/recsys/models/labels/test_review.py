"""The review: the listed products, their order, and reading answers from a spreadsheet."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from recsys.core.configuration import Configuration
from recsys.core.errors import ExportError, ReviewError
from recsys.models.labels.ledger import Filling
from recsys.models.labels.review import (
    COLUMNS,
    filled_list,
    known_labels,
    read_answers,
    review_list,
    save_answers,
    write_review,
)
from tests.recsys.models.labels.small_shop import NOW, Shop, settings

LABELS = ("Eyewear", "Home & Kitchen", "Watches", "ساعات", "часы")


def answers(shop: Shop, text: str | bytes, **options: bool) -> list[list[object]]:
    """Return what a file with this text says: [product, label, forget] a row."""
    path = shop.folder / "answers.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    rows = read_answers(path, LABELS, shop.store, **options).astype(object)
    return rows.where(rows.notna(), None).values.tolist()


def refused(shop: Shop, text: str | bytes, *words: str, **options: bool) -> None:
    with pytest.raises(ReviewError) as raised:
        answers(shop, text, **options)
    for word in ("answers.csv", *words):
        assert word in str(raised.value), str(raised.value)
    assert "\n" not in str(raised.value)


# --- out ------------------------------------------------------------------------------------------------------------


def test_the_list_has_all_columns_that_a_reviewer_needs(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "Bella Ballerina (Red)", "Bella Ballerina", "Bella"), ("c", ""))
    shop.predict(a=("Watches", 0.9), b=("Footwear", 0.8, "Clothing", 0.1))
    shop.picture(b="http://shop.example/b.jpg")
    shop.label()
    rows = review_list(shop.store)
    assert list(rows.columns) == COLUMNS
    first, second = rows.astype(object).where(rows.notna(), None).to_dict("records")
    assert first.pop("confidence") == pytest.approx(0.8)
    assert first == {
        "product_id": "b",
        "name": "Bella Ballerina",
        "brand": "Bella",
        "category": "Bella Ballerina (Red)",
        "image_url": "http://shop.example/b.jpg",
        "suggestion": "Footwear",
        "runner_up": "Clothing",
        "why": "no label: Bella Ballerina (Red)",
        "answer": "",
    }
    assert (second["product_id"], second["why"]) == ("c", "no label: no category")
    assert second["image_url"] == "http://shop.example/1.jpg"  # without the password
    assert second["suggestion"] is second["confidence"] is None


def test_the_most_useful_products_come_first(shop: Shop) -> None:
    named = [(key, tree) for key, tree in zip("abcdefg", ["x", "y", "y", "z", "w", "v", ""], strict=True)]
    shop.update(*named, ("s", "Watches"), ("t", "Watches >> Straps"), ("ok", "Watches"))
    shop.predict(
        a=("Eyewear", 0.6, "Watches", 0.1),  # wavers less than d
        d=("Eyewear", 0.6, "Watches", 0.5),
        e=("Eyewear", 0.6, "Watches", 0.5),  # no picture
        f=("Eyewear", 0.99, "Watches", 0.0),
        s=("Eyewear", 0.96),
        t=("Eyewear", 0.98),
        ok=("Watches", 0.99),
    )
    shop.picture(**dict.fromkeys("abcdfst", "http://shop.example/x.jpg"))
    shop.label()
    rows = review_list(shop.store, 0.95)
    # two alike first; then by the margin; then those without a picture; then contradictions, the surest first
    assert "".join(rows["product_id"]) == "bcdafgets"
    assert rows["why"].tolist()[-2:] == ["contradicted: Watches", "contradicted: Watches"]
    assert "s" not in set(review_list(shop.store)["product_id"])


def test_predicted_labels_are_listed_by_ascending_confidence_and_can_be_corrected(shop: Shop) -> None:
    shop.update(("a", "x"), ("b", "y"), ("c", "z"), ("ok", "Watches"))
    shop.predict(a=("Watches", 0.99, "Eyewear", 0.01), b=("Eyewear", 0.95, "Watches", 0.04), c=("Eyewear", 0.5))
    shop.label()
    shop.label(filling=Filling("1", 0.9))
    rows = filled_list(shop.store)
    assert list(rows.columns) == COLUMNS
    listed = rows[["product_id", "suggestion", "runner_up", "why", "category", "answer"]].values.tolist()
    assert listed == [["b", "Eyewear", "Watches", "filled", "y", ""], ["a", "Watches", "Eyewear", "filled", "x", ""]]
    path = shop.folder / "filled.csv"
    assert write_review(rows, path) == 2
    path.write_text(path.read_text(encoding="utf-8-sig").replace("filled,", "filled,Watches", 1), encoding="utf-8")
    save_answers(shop.store, read_answers(path, LABELS, shop.store), NOW)
    shop.label(filling=Filling("1", 0.9))
    assert (shop.row("b")["label"], shop.row("b")["source"]) == ("Watches", "reviewed")
    assert filled_list(shop.store)["product_id"].tolist() == ["a"]


def test_answered_predicted_or_removed_products_are_not_listed(shop: Shop) -> None:
    shop.update(("a", "x"), ("b", "y"), ("c", "z"), ("d", "v"), ("e", "w"))
    shop.predict(b=("Watches", 0.99))
    shop.label(filling=Filling("1", 0.9))
    shop.review(a=None, c="Watches")
    shop.update(("a", "x"), ("b", "y"), ("c", "z"), ("d", "v"))
    assert review_list(shop.store, 0.9)["product_id"].tolist() == ["d"]
    shop.label(filling=Filling("1", 0.9))
    assert review_list(shop.store, 0.9)["product_id"].tolist() == ["d"]


def test_a_home_without_labels_has_nothing_to_review(shop: Shop) -> None:
    assert review_list(shop.store, 0.5).empty
    assert list(review_list(shop.store).columns) == COLUMNS


def test_the_file_is_safe_in_a_spreadsheet_and_keeps_other_scripts(shop: Shop) -> None:
    shop.update(("=1+1", "x", '=HYPERLINK("http://x")'), ("-b", "y", "часы"), ("c", "Watches"))
    shop.label()
    path = shop.folder / "new" / "review.csv"
    assert write_review(review_list(shop.store), path) == 2
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = {row["product_id"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"'=1+1", "'-b"}
    assert rows["'=1+1"]["name"].startswith("'=")
    assert rows["'-b"]["name"] == "часы"


def test_a_file_that_may_have_answers_is_not_overwritten(shop: Shop) -> None:
    path = shop.folder / "review.csv"
    path.write_text("product_id,answer\na,Watches\n")
    with pytest.raises(ExportError, match=r"review\.csv exists"):
        write_review(review_list(shop.store), path)
    with pytest.raises(ExportError, match="cannot be written"):
        write_review(review_list(shop.store), Path("/proc/no/review.csv"))


# --- in -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def review_shop(shop: Shop) -> Shop:
    """A shop with four products to be answered for."""
    shop.update(("=a", "x"), ("b", "y"), ("c", "z"), ("007", "w"))
    shop.label()
    return shop


def test_answers_are_read_in_the_formats_of_all_spreadsheets(review_shop: Shop) -> None:
    path = review_shop.folder / "review.csv"
    write_review(review_list(review_shop.store), path)
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame["answer"] = frame["product_id"].map({"'=a": "Watches", "b": " часы ", "c": "NONE", "007": ""})
    expected = [["=a", "Watches", False], ["b", "часы", False], ["c", None, False]]

    def written(separator: str, encoding: str) -> bytes:
        buffer = io.StringIO()
        frame.to_csv(buffer, sep=separator, index=False, lineterminator="\r\n")
        return buffer.getvalue().encode(encoding)

    for separator, encoding in [(",", "utf-8-sig"), (",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-16")]:
        assert sorted(answers(review_shop, written(separator, encoding)), key=str) == sorted(expected, key=str)


def test_only_two_columns_and_rows_with_an_answer_are_read(review_shop: Shop) -> None:
    assert answers(review_shop, "Answer,PRODUCT_ID,comment\n,b,later\n\nwatches,c,\n,,\n") == [["c", "Watches", False]]
    assert answers(review_shop, "product_id,name,answer\nb\nc,x\n007,x,none\n") == [["007", None, False]]
    assert answers(review_shop, "product_id,answer\n") == []


def test_forget_deletes_an_earlier_answer(review_shop: Shop) -> None:
    assert answers(review_shop, "product_id,answer\nb,forget\n") == [["b", None, True]]


def test_case_and_unicode_form_of_a_label_do_not_count(review_shop: Shop) -> None:
    assert answers(review_shop, "product_id,answer\nb,home  &  KITCHEN\n") == [["b", "Home & Kitchen", False]]
    assert answers(review_shop, "product_id,answer\nb,ЧАСЫ\nc,ساعات\n") == [["b", "часы", False], ["c", "ساعات", False]]


def test_a_new_label_is_accepted_only_if_allowed(review_shop: Shop) -> None:
    text = "product_id,answer\nb,眼鏡\nc,eyewear\n"
    refused(review_shop, text, "line 2, column 'answer'", "'眼鏡' is not a label", "--allow-new")
    assert answers(review_shop, text, allow_new=True) == [["b", "眼鏡", False], ["c", "Eyewear", False]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("product_id,answer\nb,Eyewaer\n", ["line 2, column 'answer'", "did you mean 'Eyewear'?", "Nothing was saved"]),
        ("product_id,answer\nmissing,Watches\n", ["line 2, column 'product_id'", "'missing' is not a product"]),
        ("product_id,answer\n1.23E+15,Watches\n", ["line 2", "rounded by a spreadsheet"]),
        ("product_id,answer\n,Watches\n", ["line 2, column 'product_id' is empty"]),
        ("product_id,answer\nb,Watches\nc,\nb,Eyewear\n", ["line 4", "'Eyewear'", "has 'Watches' on line 2"]),
        ("product_id,answer\nb,Watches\nb,none\n", ["line 3", "'none'", "has 'Watches' on line 2"]),
        ("product_id,answer\nb,Watches,x\n", ["line 2", "3 fields where the header has 2"]),
        ("product_id,reply\nb,Watches\n", ["has no column 'answer'", "it has: product_id, reply"]),
        ("answer\nWatches\n", ["has no column 'product_id'"]),
        ("product_id,answer,answer\nb,Watches,\n", ["has the column 'answer' twice"]),
        ("", ["is empty", "recsys labels review --out"]),
        ("\n \n", ["is empty"]),
        (b"\xef\xbb\xbf", ["is empty"]),
        (b"PK\x03\x04" + bytes(range(256)), ["is a workbook, not a CSV"]),
        (bytes(range(256)), ["is not a text file"]),
        ('product_id,answer\nb,"Watches\nc,Eyewear\n', ["line 2 is not CSV", "quote"]),
        ("product_id,answer\nb,Café\n".encode("cp1252"), ["line 2, column 'answer'", "not UTF-8"]),
        ("<!DOCTYPE html><html>sign in</html>", ["has no column 'product_id'"]),
    ],
)
def test_the_error_for_a_wrong_file_names_line_column_and_remedy(
    review_shop: Shop, text: str | bytes, words: list[str]
) -> None:
    refused(review_shop, text, *words)


def test_the_error_counts_all_faults_and_names_the_first(review_shop: Shop) -> None:
    wrong = "".join(f"b{number},Watches\n" for number in range(9))
    refused(review_shop, f"product_id,answer\nb,Watches\n{wrong}", "line 3", "line 5", "; and 6 more")


def test_a_missing_file_is_an_error(shop: Shop) -> None:
    for path in (shop.folder / "nowhere.csv", shop.folder):
        with pytest.raises(ReviewError, match="cannot be read"):
            read_answers(path, LABELS, shop.store)


# --- kept -----------------------------------------------------------------------------------------------------------


def test_new_answers_are_saved_in_one_commit_and_unchanged_ones_are_not_written(review_shop: Shop) -> None:
    def save(text: str) -> tuple[int, int, int, int]:
        path = review_shop.folder / "answers.csv"
        path.write_text(text, encoding="utf-8")
        before = review_shop.store.version("reviews")
        later = NOW + timedelta(days=before)
        counts = save_answers(review_shop.store, read_answers(path, LABELS, review_shop.store), later)
        return counts.saved, counts.unchanged, counts.forgotten, review_shop.store.version("reviews") - before

    assert save("product_id,answer\nb,Watches\nc,none\n")[:3] == (2, 0, 0)
    first = review_shop.row("b", "reviews")
    assert first["reviewed_at"] == NOW and review_shop.row("c", "reviews")["label"] is None
    assert save("product_id,answer\nb,Watches\nc,none\n007,\n") == (0, 2, 0, 0)
    assert review_shop.row("b", "reviews") == first
    assert save("product_id,answer\nb,Eyewear\nc,none\n007,Watches\n") == (2, 1, 0, 1)
    assert review_shop.row("b", "reviews")["reviewed_at"] > NOW
    assert save("product_id,answer\nb,forget\nc,none\n=a,forget\n") == (0, 2, 1, 1)
    assert review_shop.store.count("reviews") == 2
    assert save("product_id,answer\nc,forget\n007,none\n") == (1, 0, 1, 1)
    assert review_shop.store.read("reviews", ["product_id"])["product_id"].to_pylist() == ["007"]


def test_a_product_with_a_deleted_answer_is_listed_again(review_shop: Shop) -> None:
    review_shop.review(b="Watches")
    review_shop.label()
    assert "b" not in set(review_list(review_shop.store)["product_id"])
    forget = pd.DataFrame({"product_id": ["b"], "label": [None], "forget": [True]})
    save_answers(review_shop.store, forget, datetime.now(UTC))
    assert review_shop.label()[0] == ["b"]
    assert "b" in set(review_list(review_shop.store)["product_id"])


def test_known_labels_are_those_of_the_products_and_of_the_table(shop: Shop) -> None:
    shop.update(("a", "Mode"), ("b", "Möbel"), ("c", "часы"))
    shop.label(settings({}))
    shop.review(c="Uhren")
    shop.label(settings({}))
    assert known_labels(shop.store, settings({})) == ("Mode", "Möbel", "Uhren")
    table = settings({"Mode": ["Mode"], "Heim": ["Möbel"]})
    assert known_labels(shop.store, table) == ("Heim", "Mode", "Möbel", "Uhren")
    assert known_labels(shop.store, Configuration()) == ("Mode", "Möbel", "Uhren")
