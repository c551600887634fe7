"""The review: what the classifier is too unsure of goes out as a CSV, and the answers come back in.

An answer outranks the catalogue and the classifier, and lasts: through reruns, catalogue updates and new models.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from recsys.core.configuration import Configuration
from recsys.core.errors import ExportError, ReviewError
from recsys.core.text import shorten
from recsys.ingest.addresses import without_credentials
from recsys.ingest.catalogue.products import ACTIVE, frame_of
from recsys.models.labels.merge_table import stored_merge_table, top_level
from recsys.models.labels.suspicious import suspicious_labels
from recsys.storage.spreadsheet import cell, read_csv, write_csv
from recsys.storage.store import SCHEMAS, Store, among

NO_LABEL = "none"
"""The answer that the product has no label, and is not to be asked for again."""

FORGET = "forget"
"""The answer that takes an earlier answer back."""

COLUMNS = [
    *("product_id", "name", "brand", "category", "image_url"),
    *("suggestion", "confidence", "runner_up", "why", "answer"),
]
NAMED = 3  # faults that an error names at most


@dataclass(frozen=True)
class AnswerCounts:
    """What became of the answers of a file: saved (new or changed), as they were before, taken back."""

    saved: int
    unchanged: int
    forgotten: int


def known_labels(store: Store, configuration: Configuration) -> tuple[str, ...]:
    """Return the labels that an answer may name, sorted: those of the products, and of the merge table."""
    active = store.read("products", ["product_id"], ACTIVE).to_pandas()["product_id"]
    labels = store.read("labels", ["product_id", "label"], "label IS NOT NULL").to_pandas()
    table = stored_merge_table(store, configuration)
    return tuple(sorted({*labels.loc[labels["product_id"].isin(active), "label"], *table.labels.values()}))


def review_list(store: Store, suspicious_above: float | None = None) -> pd.DataFrame:
    """Return the active products that a person should look at, the most worthwhile first.

    First those without a label. Of them first those with a picture, since only they are recommended; then those whose
    top level many share, since one look answers them all; then those between whose first and second label the
    classifier wavers most, since their answers teach it most (margin sampling: Scheffer, Decomain and Wrobel 2001,
    doi:10.1007/3-540-44816-0_31). Below them the labels that it contradicts, the surest contradiction first. What was
    answered is not asked again.

    Args:
        store: of the home.
        suspicious_above: the least confidence of a contradiction; None leaves them out.

    Returns:
        product_id, name, brand, category (the path, joined by ` > `), image_url (the one that has the picture, else
        the first), suggestion, confidence (float32) and runner_up (of the classifier; null without a prediction), why
        (`no label: <top level>`, `contradicted: <label>`), answer (empty).
    """
    columns = ["product_id", "name", "brand", "category_path", "image_urls"]
    rows = frame_of(store.read("products", columns, ACTIVE))
    labels = store.read("labels", ["product_id", "label"]).to_pandas()
    labels = labels[~labels["product_id"].isin(store.read("reviews", ["product_id"]).to_pandas()["product_id"])]
    doubtful = suspicious_labels(store, suspicious_above)["product_id"] if suspicious_above is not None else ()
    labels = labels[labels["label"].isna() | labels["product_id"].isin(doubtful)]
    columns = ["product_id", "label", "confidence", "runner_up", "runner_up_confidence"]
    predictions = store.read("predictions", columns).to_pandas().rename(columns={"label": "suggestion"})
    images = store.read("images", ["product_id", "url"], "status = 'ok'").to_pandas()
    rows = rows.merge(labels, on="product_id")
    rows = rows.merge(predictions, on="product_id", how="left").merge(images, on="product_id", how="left")

    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    alike = Counter(top_level(row["category_path"]) for row in records if row["label"] is None)

    def worth(row: dict[Hashable, Any]) -> tuple[Any, ...]:
        confidence, top = row["confidence"] or 0.0, top_level(row["category_path"])
        if row["label"] is not None:
            return True, -confidence, row["product_id"]
        margin = confidence - (row["runner_up_confidence"] or 0.0)
        group = (-alike[top], top) if top and alike[top] > 1 else (-1, "")
        return False, row["url"] is None, *group, margin, row["product_id"]

    shown = []
    for row in sorted(records, key=worth):
        given, top = row["label"], top_level(row["category_path"])
        shown.append({**row, "why": f"contradicted: {given}" if given else f"no label: {top or 'no category'}"})
    return _as_list(shown)


def filled_list(store: Store) -> pd.DataFrame:
    """Return the active products whose label the classifier filled in, the least sure first, for a person to overrule.

    Args:
        store: of the home.

    Returns:
        As `review_list`; suggestion is the label that was filled in, and why is `filled`.
    """
    columns = ["product_id", "name", "brand", "category_path", "image_urls"]
    rows = frame_of(store.read("products", columns, ACTIVE))
    columns = ["product_id", "label", "confidence"]
    labels = store.read("labels", columns, "source = 'predicted'").to_pandas().rename(columns={"label": "suggestion"})
    runners_up = store.read("predictions", ["product_id", "runner_up"]).to_pandas()
    images = store.read("images", ["product_id", "url"], "status = 'ok'").to_pandas()
    rows = rows.merge(labels, on="product_id")
    rows = rows.merge(runners_up, on="product_id", how="left").merge(images, on="product_id", how="left")
    rows = rows.sort_values(["confidence", "product_id"], ignore_index=True)
    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return _as_list([{**row, "why": "filled"} for row in records])


def write_review(rows: pd.DataFrame, to: Path) -> int:
    """Write a list as a CSV to be answered in a spreadsheet, and return how many rows it has.

    Args:
        rows: of `review_list` or `filled_list`.
        to: the file.

    Raises:
        ExportError: the file is there already, since it may hold answers; or it cannot be written.
    """
    if to.exists():
        raise ExportError(f"{to} is there already and may hold answers; name another file")
    rounded = rows.assign(confidence=rows["confidence"].astype("float64").round(4))
    try:
        write_csv(rounded, to, encoding="utf-8-sig")
    except OSError as error:
        raise ExportError(f"{to} cannot be written: {error.strerror or error}; name another file") from error
    return len(rows)


def read_answers(path: Path, labels: Sequence[str], store: Store, *, allow_new: bool = False) -> pd.DataFrame:
    """Return the answers of a CSV: of its rows those whose `answer` is not empty.

    An answer is a label, `none` (it has none, and is not to be asked for again) or `forget` (an earlier answer is
    taken back). Upper and lower case are one. Only the columns product_id and answer are looked at; separator and byte
    order mark may be those of any spreadsheet.

    Args:
        path: the file.
        labels: those that an answer may name, see `known_labels`.
        store: of the home.
        allow_new: an answer may name a new label.

    Returns:
        product_id, label (null for `none` and `forget`), forget (bool), each product once.

    Raises:
        ReviewError: the file cannot be read, or any of its answers cannot be taken; names file, line and column.
    """
    way_out = "'recsys labels review --out FILE' writes one to be answered"
    header, records = read_csv(path, ("product_id", "answer"), "answers", ReviewError, way_out)
    answers: dict[str, tuple[str, int]] = {}
    faults: list[tuple[int, str]] = []
    known = {_folded(label): label for label in labels} | {NO_LABEL: NO_LABEL, FORGET: FORGET}
    exact = set(labels) - {NO_LABEL, FORGET}
    for line, record in records:
        key = cell(record, header.index("product_id"))
        given = unicodedata.normalize("NFC", cell(record, header.index("answer")))
        if not given:
            continue
        answer = given if given in exact else known.get(_folded(given))
        if any("\ud800" <= char <= "\udfff" for char in key + given):
            faults.append((line, "column 'answer': not UTF-8; save the file as 'CSV UTF-8'"))
        elif not key:
            faults.append((line, "column 'product_id' is empty"))
        elif len(record) > len(header) and any(record[len(header) :]):
            faults.append((line, f"{len(record)} fields where the header has {len(header)}"))
        elif answer is None and not allow_new:
            faults.append((line, f"column 'answer': '{shorten(given, 40)}' is no label{_hint(given, labels)}"))
        elif key in answers and answers[key][0] != (answer or given):
            earlier, at = answers[key]
            faults.append(
                (line, f"column 'answer': '{answer or given}' for a product that has '{earlier}' on line {at}")
            )
        else:
            answers.setdefault(key, (answer or given, line))
    there = set(store.read("products", ["product_id"], among("product_id", answers))["product_id"].to_pylist())
    for key, (_, line) in answers.items():
        if key not in there:
            faults.append(
                (line, f"column 'product_id': '{shorten(key, 40)}' is no product of this home{_mangled(key)}")
            )
    if faults:
        told = "; ".join(f"line {line}, {fault}" for line, fault in sorted(faults)[:NAMED])
        more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise ReviewError(f"answers {path}: {told}{more}. Nothing was saved")
    said = [answer for answer, _ in answers.values()]
    return pd.DataFrame(
        {
            "product_id": pd.Series(list(answers), dtype="str"),
            "label": pd.Series([None if answer in (NO_LABEL, FORGET) else answer for answer in said], dtype="str"),
            "forget": pd.Series([answer == FORGET for answer in said], dtype="bool"),
        }
    )


def save_answers(store: Store, answers: pd.DataFrame, now: datetime) -> AnswerCounts:
    """Write answers to `reviews` in one commit, and return what became of them; unchanged ones are not written.

    Args:
        store: of the home.
        answers: as `read_answers` returns them.
        now: time-zone aware; becomes `reviewed_at`.

    Raises:
        HomeError: the store cannot be written to.
    """
    before = {row["product_id"]: row["label"] for row in store.read("reviews", ["product_id", "label"]).to_pylist()}
    forgotten = [key for key in answers.loc[answers["forget"], "product_id"] if key in before]
    given = answers[~answers["forget"]]
    labels = given["label"].astype(object).where(given["label"].notna(), None)
    rows = [
        {"product_id": key, "label": label, "reviewed_at": now}
        for key, label in zip(given["product_id"], labels, strict=True)
        if key not in before or before[key] != label
    ]
    if rows or forgotten:
        replaced = among("product_id", forgotten) if forgotten else None
        store.write("reviews", pa.Table.from_pylist(rows, schema=SCHEMAS["reviews"]), replace=replaced)
    return AnswerCounts(len(rows), len(answers) - len(rows) - len(forgotten), len(forgotten))


def _as_list(records: Sequence[dict[Hashable, Any]]) -> pd.DataFrame:
    """Return records with category_path, url, image_urls and the columns of a list as such a list."""
    shown = [
        {
            **row,
            "category": " > ".join(row["category_path"] or ()),
            "image_url": without_credentials(row["url"] or next(iter(row["image_urls"] or ()), "")),
            "answer": "",
        }
        for row in records
    ]
    return pd.DataFrame(shown, columns=COLUMNS).astype(dict.fromkeys(COLUMNS, "str") | {"confidence": "float32"})


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _hint(given: str, labels: Sequence[str]) -> str:
    folded = {_folded(label): label for label in labels}
    close = difflib.get_close_matches(_folded(given), folded, n=1)
    return f"; did you mean '{folded[close[0]]}'?" if close else "; --allow-new makes it one"


def _mangled(key: str) -> str:
    """Return a hint where a spreadsheet made a number of an id."""
    return " (rounded by a spreadsheet? Import that column as text)" if re.fullmatch(r"[\d.,]+E\+\d+", key) else ""
