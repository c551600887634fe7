"""Suggestions for the merge table: what is proposed, on which evidence, and that the file can be used as it is."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from recsys.core.configuration import FLIPKART_LABELS, Configuration, load
from recsys.core.errors import ExportError
from recsys.ingest.catalogue.reading import read_catalogue
from recsys.models.labels.merge_table import assign_labels
from recsys.models.labels.suggest import COLUMNS, suggest_merges, write_suggestions

SHIRTS = ("Plain", "Striped", "Checked", "Printed", "Slim", "Loose", "Long", "Short", "White", "Linen")
ROW = tuple[str, str | None, str | None]  # category tree, name, brand


def catalogue(*rows: ROW) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "product_id": [f"id-{number}" for number in range(len(rows))],
            "name": pd.Series([name for _, name, _ in rows], dtype="str"),
            "brand": pd.Series([brand for _, _, brand in rows], dtype="str"),
            "category_path": pd.Series([[p.strip() for p in tree.split(">>") if p.strip()] for tree, _, _ in rows]),
        }
    )


def shirts(tree: str, count: int, thing: str = "Shirt") -> list[ROW]:
    return [(tree, f"{SHIRTS[n % 10]} {SHIRTS[n // 10 % 10]} {thing} {n}", f"Brand {n % 7}") for n in range(count)]


def lamps(tree: str, count: int) -> list[ROW]:
    kinds = ("Desk", "Floor", "Ceiling", "Garden", "Wall", "Reading", "Night", "Paper", "Brass", "Glass")
    return [(tree, f"{kinds[n % 10]} {kinds[n // 10 % 10]} Lamp {n}", f"Maker {n % 5}") for n in range(count)]


def suggested(*rows: ROW) -> dict[str, dict[Any, Any]]:
    frame = suggest_merges(catalogue(*rows))
    assert list(frame.columns) == COLUMNS
    return {row["value"]: row for row in frame.to_dict("records")}


def test_a_small_top_level_is_merged_into_a_bigger_one_that_is_like_it() -> None:
    suggestions = suggested(
        *shirts("Clothing >> Shirts", 1200), *lamps("Lighting >> Lamps", 1200), *lamps("Lights", 12)
    )
    assert (suggestions["Lights"]["proposal"], suggestions["Lights"]["merge_into"]) == ("merge", "Lighting")
    assert "lamp" in suggestions["Lights"]["evidence"] and "text model predicts" in suggestions["Lights"]["evidence"]
    assert 0.6 <= suggestions["Lights"]["confidence"] <= 1
    assert {suggestions[value]["proposal"] for value in ("Clothing", "Lighting")} == {"keep"}
    assert pd.isna(suggestions["Clothing"]["merge_into"])


def test_a_small_top_level_that_is_like_no_other_stays_a_label() -> None:
    hats = [("Hats >> Hats", f"Bowler number {n}", "Hatter") for n in range(15)]
    suggestions = suggested(*shirts("Clothing >> Shirts", 1200), *lamps("Lighting >> Lamps", 1200), *hats)
    assert suggestions["Hats"]["proposal"] == "keep"


def test_two_large_top_levels_that_are_confused_are_listed_and_not_merged() -> None:
    suggestions = suggested(*shirts("Men >> Shirts", 300), *shirts("Women >> Shirts", 250), *lamps("Lighting", 300))
    assert (suggestions["Women"]["proposal"], suggestions["Women"]["merge_into"]) == ("consider", "Men")
    assert suggestions["Lighting"]["proposal"] == "keep"


def test_spellings_of_one_name_are_merged_into_the_most_frequent() -> None:
    suggestions = suggested(
        *lamps("Home & Garden >> Lamps", 30), *lamps("home and gardens", 5), *lamps("HOME  + GARDEN!", 3),
        *shirts("Décor", 20), *shirts("Decor >> Shirts", 21), *shirts("Men", 20),
    )  # fmt: skip
    merged = {value: row["merge_into"] for value, row in suggestions.items() if row["proposal"] == "merge"}
    assert merged == {"home and gardens": "Home & Garden", "HOME  + GARDEN!": "Home & Garden", "Décor": "Decor"} | (
        {"Men": merged["Men"]} if "Men" in merged else {}
    )
    assert suggestions["Décor"]["confidence"] == 1 and "'Decor' except for" in suggestions["Décor"]["evidence"]


def test_numbers_distinguish_names() -> None:
    suggestions = suggested(*shirts("Range 1 >> Shirts", 30), *lamps("Range 2 >> Lamps", 20), *shirts("range 1", 2))
    assert {value: row["merge_into"] for value, row in suggestions.items() if row["proposal"] != "keep"} == {
        "range 1": "Range 1"
    }


def test_a_product_name_as_category_is_dropped() -> None:
    suggestions = suggested(
        *shirts("Clothing >> Shirts", 40), *lamps("Lighting", 40),
        ("Sumo Baby Walker (Red)", "Sumo Baby Walker", "Sumo"), ("Sumo Baby Walker (Red)", "Sumo Baby Walker", "Sumo"),
    )  # fmt: skip
    row = suggestions["Sumo Baby Walker (Red)"]
    assert (row["proposal"], row["confidence"]) == ("drop", 1)
    assert row["evidence"] == "2 of its 2 products have this name: not a category"


def test_a_brand_name_as_category_is_dropped() -> None:
    brand: list[ROW] = [("ACME >> Things", f"Thing number {n}", "Acme" if n else "Other") for n in range(10)]
    suggestions = suggested(*shirts("Clothing >> Shirts", 40), *lamps("Lighting", 40), *brand)
    assert (
        suggestions["ACME"]["proposal"] == "drop"
        and "90% of its products have the brand 'Acme'" in suggestions["ACME"]["evidence"]
    )


def test_a_small_top_level_of_one_brand_is_merged_even_with_two_candidates() -> None:
    others = [*shirts("Clothing >> Shirts", 600), *lamps("Lighting >> Lamps", 600)]
    mixed = [*shirts("Summer 26", 3), *lamps("Summer 26", 4)]
    assert suggested(*others, *mixed)["Summer 26"]["proposal"] == "consider"
    row = suggested(*others, *((tree, name, "Acme") for tree, name, _ in mixed))["Summer 26"]
    assert row["proposal"] == "merge" and "100% have the brand 'Acme'" in row["evidence"]


def test_a_top_level_too_rare_for_the_size_of_the_shop_is_dropped() -> None:
    suggestions = suggested(
        *shirts("Clothing >> Shirts", 2500), *lamps("Lighting >> Lamps", 2500), *lamps("Torches", 4)
    )
    assert (
        suggestions["Torches"]["proposal"] == "drop" and "4 products are too few" in suggestions["Torches"]["evidence"]
    )
    suggestions = suggested(*shirts("Clothing >> Shirts", 30), *lamps("Lighting", 30), *[("Hats", "Hat", None)] * 4)
    assert suggestions["Hats"]["proposal"] == "keep"


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("", "no category", None)],
        [("Clothing", None, None)] * 3,
        [("Clothing", None, None)] * 3 + [("Watches", None, None)] * 3,
        [("123", "1", "2")] * 3 + [("!!!", "?", "-")] * 3,
    ],
)
def test_a_shop_with_few_or_incomplete_products_gets_suggestions(rows: list[ROW]) -> None:
    suggestions = suggested(*rows)
    assert set(suggestions) == {tree for tree, _, _ in rows if tree}
    assert {row["proposal"] for row in suggestions.values()} <= {"keep", "drop"}


def test_the_order_of_the_rows_does_not_change_the_suggestions() -> None:
    rows = [*shirts("Clothing >> Shirts", 300), *lamps("Lighting >> Lamps", 300), *lamps("Lights", 5)]
    pd.testing.assert_frame_equal(suggest_merges(catalogue(*rows)), suggest_merges(catalogue(*reversed(rows))))


# --- the file -------------------------------------------------------------------------------------------------------

HOSTILE = 'A "quoted" \\ back\x7fslash = ["x"] # no'


def test_the_file_is_a_valid_merge_table(tmp_path: Path) -> None:
    rows = [
        *shirts("पोशाक और कपड़े >> कमीज", 400, "कमीज"),
        *lamps("灯具 >> 台灯", 400),
        *lamps(HOSTILE, 30),
        *shirts("часы", 30, "часы"),
        *shirts("Часы", 5, "часы"),
        ("Sumo (Red)\u202e", "Sumo", None),
    ]
    suggestions, path = suggest_merges(catalogue(*rows)), tmp_path / "home" / "recsys.toml"
    write_suggestions(suggestions, path)
    merge = load(tmp_path / "home", environ={}).labels.merge
    by_value = suggestions.set_index("value")
    kept = by_value[by_value["proposal"].isin(["keep", "consider"])].index
    assert set(merge) == set(kept) >= {"पोशाक और कपड़े", "灯具", "часы"}
    assert {value: label for label, values in merge.items() for value in values} == {
        **{value: value for value in kept},
        **by_value.loc[by_value["proposal"] == "merge", "merge_into"].to_dict(),
    }
    assert merge["часы"] == ("часы", "Часы")
    (line,) = (line for line in path.read_text(encoding="utf-8").splitlines() if "Sumo" in line)
    assert line.startswith("#") and "\u202e" not in line


def test_each_line_of_the_file_has_its_evidence_and_can_be_moved(tmp_path: Path) -> None:
    path = tmp_path / "merge.toml"
    suggestions = suggest_merges(
        catalogue(*shirts("Clothing >> Shirts", 1200), *lamps("Lighting >> Lamps", 1200), *lamps("Lights", 12))
    )
    write_suggestions(suggestions, path)
    written = path.read_text(encoding="utf-8")
    (line,) = (line for line in written.splitlines() if line.strip().startswith('"Lights"'))
    assert "# 12 products; confidence" in line and "shares" in line
    without = "\n".join(row for row in written.splitlines() if row != line)
    assert tomllib.loads(without)["labels"]["merge"] == {"Clothing": ["Clothing"], "Lighting": ["Lighting"]}
    with pytest.raises(ExportError, match="exists and may have been edited"):
        write_suggestions(suggestions, path)
    with pytest.raises(ExportError, match="cannot be written"):
        write_suggestions(suggestions, Path("/proc/no/merge.toml"))


# --- real data ------------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_real_20000_rows_give_the_grey_areas_and_the_product_names(tmp_path: Path, shared_data: Path) -> None:
    configuration = Configuration()
    source = str(shared_data / "flipkart-20k" / "catalogue.csv")
    products = read_catalogue(source, configuration, tmp_path).products
    suggestions = suggest_merges(products)
    label_of: Mapping[str, str] = {value: label for label, values in FLIPKART_LABELS.items() for value in values}
    merged = suggestions[suggestions["proposal"] == "merge"]
    right = [label_of.get(value) == label_of.get(into) for value, into in merged[["value", "merge_into"]].to_numpy()]
    pair_of = {row["value"]: (row["proposal"], row["merge_into"]) for row in suggestions.to_dict("records")}
    assert pair_of["Furniture"] == ("merge", "Home Furnishing")
    assert pair_of["Home Improvement"] == ("merge", "Tools & Hardware")
    assert pair_of["Health & Personal Care Appliances"] == ("merge", "Beauty and Personal Care")
    assert pair_of["Eyewear"] == ("merge", "Sunglasses")
    assert pair_of["Home & Kitchen"] == ("consider", "Kitchen & Dining")
    assert pair_of["Gaming"] == ("consider", "Computers")
    assert sum(right) >= 0.8 * len(right)
    dropped = suggestions[suggestions["proposal"] == "drop"]
    assert not set(dropped["value"]) & set(label_of)
    assert dropped["products"].sum() >= 0.95 * 347
    print(f"\n{sum(right)} of {len(right)} merges as in the table; {len(dropped)} values dropped, all not in it")

    write_suggestions(suggestions, tmp_path / "merge.toml")
    table = load(file=tmp_path / "merge.toml", environ={})
    labels = assign_labels(products, table)
    assert labels["label"].nunique() == 23
    assert labels["label"].isna().sum() == dropped["products"].sum()
