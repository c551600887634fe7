"""Write doubtful labels to a CSV file for review, and read the answers.

An answer takes precedence over the catalogue and the classifier, and outlasts reruns, catalogue updates and new models.
"""

import difflib
import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.core.configuration import Configuration
from recsys.core.errors import ExportError, ReviewError
from recsys.core.text import shorten
from recsys.ingest.addresses import without_credentials
from recsys.ingest.catalogue.products import ACTIVE, active_products
from recsys.models.labels.merge_table import stored_merge_table, top_level
from recsys.storage.frames import frame_of
from recsys.storage.schemas import SCHEMAS
from recsys.storage.spreadsheet import cell, read_csv, write_csv
from recsys.storage.store import Store, among

NO_LABEL = "none"
"""Answer: the product has no label, and is not listed again."""

FORGET = "forget"
"""Answer: an earlier answer is deleted."""

COLUMNS = [
    *("product_id", "name", "brand", "category", "image_url"),
    *("suggestion", "confidence", "runner_up", "why", "answer"),
]
SUSPICIOUS_COLUMNS = [
    "product_id",
    "name",
    "brand",
    "label",
    "source",
    "predicted",
    "confidence",
    "evidence",
    "image_digest",
]
MOST_FAULTS_NAMED = 3
"""Number of faults that an error names, at most."""


@dataclass(frozen=True)
class AnswerCounts:
    """Numbers of answers of a file: saved (new or changed), unchanged, and those that deleted an earlier answer."""

    saved: int
    unchanged: int
    forgotten: int


def known_labels(store: Store, configuration: Configuration) -> tuple[str, ...]:
    """Return the labels that an answer may name, sorted: those of the active products and of the merge table."""
    active = active_products(store, ["product_id"])["product_id"]
    labels = store.read("labels", ["product_id", "label"], "label IS NOT NULL").to_pandas()
    table = stored_merge_table(store, configuration)
    return tuple(sorted({*labels.loc[labels["product_id"].isin(active), "label"], *table.labels.values()}))


def review_list(store: Store, suspicious_above: float | None = None) -> pd.DataFrame:
    """Return the active products that a person should review, the most useful first.

    First the products without a label: those with a picture before the others, since only they are recommended; then
    by the number of products with the same top level, since one look answers them all; then by the smallest margin
    between the classifier's two best labels, since their answers improve it most (margin sampling: Scheffer, Decomain
    and Wrobel 2001, doi:10.1007/3-540-44816-0_31). After them the products whose label the classifier contradicts, the
    most confident first. Answered products are left out.

    Args:
        store: the home's store.
        suspicious_above: lowest confidence of a contradiction; None leaves contradictions out.

    Returns:
        product_id, name, brand, category (the path, joined by ` > `), image_url (of the stored picture, else the
        first), suggestion, confidence (float32) and runner_up (of the classifier; null without a prediction), why
        (`no label: <top level>`, `contradicted: <label>`), answer (empty).
    """
    labels = store.read("labels", ["product_id", "label"]).to_pandas()
    labels = labels[~labels["product_id"].isin(store.read("reviews", ["product_id"]).to_pandas()["product_id"])]
    doubtful = suspicious_labels(store, suspicious_above)["product_id"] if suspicious_above is not None else ()
    labels = labels[labels["label"].isna() | labels["product_id"].isin(doubtful)]
    columns = ["product_id", "label", "confidence", "runner_up", "runner_up_confidence"]
    predictions = store.read("predictions", columns).to_pandas().rename(columns={"label": "suggestion"})
    records = _records(
        _reviewable_products(store).merge(labels, on="product_id").merge(predictions, on="product_id", how="left")
    )
    alike = Counter(top_level(row["category_path"]) for row in records if row["label"] is None)
    records.sort(key=functools.partial(_review_order, alike))
    for row in records:
        label, top = row["label"], top_level(row["category_path"])
        row["why"] = f"contradicted: {label}" if label else f"no label: {top or 'no category'}"
    return _as_list(records)


def filled_list(store: Store) -> pd.DataFrame:
    """Return the active products whose label was predicted, the least confident first.

    Returns:
        As `review_list`; suggestion is the predicted label, and why is `filled`.
    """
    columns = ["product_id", "label", "confidence"]
    labels = store.read("labels", columns, "source = 'predicted'").to_pandas().rename(columns={"label": "suggestion"})
    runners_up = store.read("predictions", ["product_id", "runner_up"]).to_pandas()
    rows = _reviewable_products(store).merge(labels, on="product_id").merge(runners_up, on="product_id", how="left")
    rows = rows.sort_values(["confidence", "product_id"], ignore_index=True).assign(why="filled")
    return _as_list(_records(rows))


def write_review(rows: pd.DataFrame, to: Path) -> int:
    """Write a list as a CSV file for a spreadsheet, and return its number of rows.

    Args:
        rows: from `review_list` or `filled_list`.
        to: the file.

    Raises:
        ExportError: the file exists, since it may have answers; or it cannot be written.
    """
    if to.exists():
        raise ExportError(f"{to} exists and may have answers; name another file")
    rounded = rows.assign(confidence=rows["confidence"].astype("float64").round(4))
    try:
        write_csv(rounded, to, encoding="utf-8-sig")
    except OSError as error:
        raise ExportError(f"{to} cannot be written: {error.strerror or error}; name another file") from error
    return len(rows)


def read_answers(path: Path, labels: Sequence[str], store: Store, *, allow_new: bool = False) -> pd.DataFrame:
    """Return the answers of a CSV file: the rows whose `answer` is not empty.

    An answer is a label, `none` (the product has no label, and is not listed again) or `forget` (an earlier answer is
    deleted). Upper and lower case are equal. Only the columns product_id and answer are read; the file may have the
    separator and byte order mark of any spreadsheet.

    Args:
        path: the file.
        labels: labels that an answer may name, see `known_labels`.
        store: the home's store.
        allow_new: whether an answer may name a new label.

    Returns:
        product_id, label (null for `none` and `forget`), forget (bool), one row per product.

    Raises:
        ReviewError: the file cannot be read, or an answer is invalid; the message names file, line and column.
    """
    remedy = "'recsys labels review --out FILE' writes one to be answered"
    header, records = read_csv(path, ("product_id", "answer"), "answers", ReviewError, remedy)
    reader = _AnswerReader(header, labels, allow_new)
    for line, record in records:
        reader.read(line, record)
    reader.check_products(store)
    if reader.faults:
        messages = [f"line {line}, {fault}" for line, fault in sorted(reader.faults)]
        more = f"; and {len(messages) - MOST_FAULTS_NAMED} more" if len(messages) > MOST_FAULTS_NAMED else ""
        raise ReviewError(f"answers {path}: {'; '.join(messages[:MOST_FAULTS_NAMED])}{more}. Nothing was saved")
    answers = [answer for answer, _ in reader.answers.values()]
    return pd.DataFrame(
        {
            "product_id": pd.Series(list(reader.answers), dtype="str"),
            "label": pd.Series([None if answer in (NO_LABEL, FORGET) else answer for answer in answers], dtype="str"),
            "forget": pd.Series([answer == FORGET for answer in answers], dtype="bool"),
        }
    )


class _AnswerReader:
    """Collects the answers of a file and its faults.

    Attributes:
        answers: answer and line of each product.
        faults: line and message of each fault.
    """

    def __init__(self, header: list[str], labels: Sequence[str], allow_new: bool) -> None:
        self.answers: dict[str, tuple[str, int]] = {}
        self.faults: list[tuple[int, str]] = []
        self._header, self._labels, self._allow_new = header, labels, allow_new
        self._exact = set(labels) - {NO_LABEL, FORGET}
        self._known = {_folded(label): label for label in labels} | {NO_LABEL: NO_LABEL, FORGET: FORGET}

    def read(self, line: int, record: list[str]) -> None:
        """Read one row of the file."""
        key = cell(record, self._header.index("product_id"))
        text = unicodedata.normalize("NFC", cell(record, self._header.index("answer")))
        if not text:
            return
        answer = text if text in self._exact else self._known.get(_folded(text))
        fault = self._fault(key, text, answer, record)
        if fault is not None:
            self.faults.append((line, fault))
        else:
            self.answers.setdefault(key, (answer or text, line))

    def check_products(self, store: Store) -> None:
        """Check that the answered products exist."""
        stored = store.read("products", ["product_id"], among("product_id", self.answers))["product_id"].to_pylist()
        for key in self.answers.keys() - set(stored):
            fault = f"column 'product_id': '{shorten(key, 40)}' is not a product of this home{_rounding_hint(key)}"
            self.faults.append((self.answers[key][1], fault))

    def _fault(self, key: str, text: str, answer: str | None, record: list[str]) -> str | None:
        """Return what is wrong with a row; None if nothing is."""
        if any("\ud800" <= char <= "\udfff" for char in key + text):
            return "column 'answer': not UTF-8; save the file as 'CSV UTF-8'"
        if not key:
            return "column 'product_id' is empty"
        if any(record[len(self._header) :]):
            return f"{len(record)} fields where the header has {len(self._header)}"
        if answer is None and not self._allow_new:
            return f"column 'answer': '{shorten(text, 40)}' is not a label{_label_hint(text, self._labels)}"
        earlier, earlier_line = self.answers.get(key, (answer or text, 0))
        if earlier != (answer or text):
            return f"column 'answer': '{answer or text}' for a product that has '{earlier}' on line {earlier_line}"
        return None


def save_answers(store: Store, answers: pd.DataFrame, now: datetime) -> AnswerCounts:
    """Write new and changed answers to `reviews` in one commit, and return the counts.

    Args:
        store: the home's store.
        answers: from `read_answers`.
        now: value of `reviewed_at`, time-zone aware.

    Raises:
        HomeError: the store cannot be written to.
    """
    stored = {row["product_id"]: row["label"] for row in store.read("reviews", ["product_id", "label"]).to_pylist()}
    forgotten = [key for key in answers.loc[answers["forget"], "product_id"] if key in stored]
    labelled = answers[~answers["forget"]]
    labels = labelled["label"].astype(object).where(labelled["label"].notna(), None)
    rows = [
        {"product_id": key, "label": label, "reviewed_at": now}
        for key, label in zip(labelled["product_id"], labels, strict=True)
        if key not in stored or stored[key] != label
    ]
    if rows or forgotten:
        replaced = among("product_id", forgotten) if forgotten else None
        store.write("reviews", pa.Table.from_pylist(rows, schema=SCHEMAS["reviews"]), replace=replaced)
    return AnswerCounts(len(rows), len(answers) - len(rows) - len(forgotten), len(forgotten))


def _reviewable_products(store: Store) -> pd.DataFrame:
    """Return product_id, name, brand, category_path, image_urls and url (of the stored picture) of active products."""
    columns = ["product_id", "name", "brand", "category_path", "image_urls"]
    products = frame_of(store.read("products", columns, ACTIVE))
    images = store.read("images", ["product_id", "url"], "status = 'ok'").to_pandas()
    return products.merge(images, on="product_id", how="left")


def _records(rows: pd.DataFrame) -> list[dict[Hashable, Any]]:
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


def _review_order(alike: Counter[str | None], row: dict[Hashable, Any]) -> tuple[Any, ...]:
    """Return the sort key of a product, see `review_list`, from the number of unlabelled products per top level."""
    confidence, top = row["confidence"] or 0.0, top_level(row["category_path"])
    if row["label"] is not None:
        return True, -confidence, row["product_id"]
    margin = confidence - (row["runner_up_confidence"] or 0.0)
    by_top_level = (-alike[top], top) if top and alike[top] > 1 else (-1, "")
    return False, row["url"] is None, *by_top_level, margin, row["product_id"]


def _as_list(records: Sequence[dict[Hashable, Any]]) -> pd.DataFrame:
    """Return records with the columns of a review list."""
    rows = [
        {
            **row,
            "category": " > ".join(row["category_path"] or ()),
            "image_url": without_credentials(row["url"] or next(iter(row["image_urls"] or ()), "")),
            "answer": "",
        }
        for row in records
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COLUMNS, "str") | {"confidence": "float32"})


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _label_hint(text: str, labels: Sequence[str]) -> str:
    folded = {_folded(label): label for label in labels}
    close = difflib.get_close_matches(_folded(text), folded, n=1)
    return f"; did you mean '{folded[close[0]]}'?" if close else "; --allow-new makes it one"


def _rounding_hint(key: str) -> str:
    """Return a hint if a spreadsheet turned an id into a rounded number."""
    return " (rounded by a spreadsheet? Import that column as text)" if re.fullmatch(r"[\d.,]+E\+\d+", key) else ""


def suspicious_labels(store: Store, threshold: float, model_version: str | None = None) -> pd.DataFrame:
    """Return the active products whose catalogue label the classifier contradicts, the most confident first.

    Reviewed labels are left out. Every prediction counts: of a product that a classifier was trained on, the table
    `predictions` has the prediction of a model that was not.

    Args:
        store: the home's store.
        threshold: lowest confidence of a contradiction.
        model_version: version of the classifier (default: any).

    Returns:
        product_id, name, brand, label (the catalogue's), source (catalogue or merged), predicted, confidence (float32),
        evidence (picture, text or both), image_digest (null without a picture).
    """
    labels = store.read("labels", ["product_id", "label", "source"], "source IN ('catalogue', 'merged')").to_pandas()
    columns = ["product_id", "model_version", "label", "confidence", "evidence"]
    predictions = store.read("predictions", columns, "label IS NOT NULL").to_pandas()
    if model_version is not None:
        predictions = predictions[predictions["model_version"] == model_version]
    predictions = predictions[predictions["confidence"] >= np.float32(threshold)].rename(columns={"label": "predicted"})
    reviewed = store.read("reviews", ["product_id"]).to_pandas()["product_id"]
    rows = labels[~labels["product_id"].isin(reviewed)].merge(predictions, on="product_id")
    rows = rows[rows["label"] != rows["predicted"]]
    products = store.read("products", ["product_id", "name", "brand"], ACTIVE).to_pandas()
    images = store.read("images", ["product_id", "image_digest"], "status = 'ok'").to_pandas()
    rows = rows.merge(products, on="product_id").merge(images, on="product_id", how="left")
    return rows.sort_values(["confidence", "product_id"], ascending=[False, True], ignore_index=True)[
        SUSPICIOUS_COLUMNS
    ]
