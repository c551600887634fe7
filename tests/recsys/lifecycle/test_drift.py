"""Drift is nought where nothing moves, and says what has moved where something does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys.core.configuration import load
from recsys.lifecycle import drift
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store

CONFIGURATION = load(environ={})


def test_the_index_is_that_of_the_textbook() -> None:
    before, now = {"a": 5_000.0, "b": 5_000.0}, {"a": 7_000.0, "b": 3_000.0}
    by_hand = (0.7 - 0.5) * np.log(0.7 / 0.5) + (0.3 - 0.5) * np.log(0.3 / 0.5)
    assert drift.stability_index(before, now) == pytest.approx(by_hand, rel=1e-3)
    assert drift.stability_index(before, before) == 0
    assert drift.stability_index(before, {"a": 50.0, "b": 50.0}) == pytest.approx(0, abs=1e-9)
    assert 0 < drift.stability_index(before, before | {"c": 100.0}) < 0.1, "a bin that was empty says something"
    assert drift.stability_index({}, now) == drift.stability_index(now, {}) == 0


def priced(store: Store, prices: list[float]) -> pd.DataFrame:
    rows = [{"product_id": f"{at}", "price": price} for at, price in enumerate(prices)]
    store.write("products", pa.Table.from_pylist(rows, schema=SCHEMAS["products"]))
    return drift.update_drift(store, CONFIGURATION).set_index("what")


def test_prices_that_are_ten_times_as_high_are_drift_once_and_since_the_training_for_good(tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    prices = [10.0 + at for at in range(200)]
    first = priced(store, prices)
    assert first["since_refresh"].isna().all(), "there was nothing before"
    assert not drift.beyond(first.reset_index(), 0.2)
    assert priced(store, prices).loc["prices"].tolist() == [0, 0]
    higher = priced(store, [price * 10 for price in prices])
    assert drift.beyond(higher.reset_index(), 0.2).keys() == {"prices"}
    after = priced(store, [price * 10 for price in prices])
    assert after.loc["prices", "since_refresh"] == 0 and after.loc["prices", "since_training"] > 0.2


def test_a_damaged_file_of_distributions_is_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    priced(store, [1.0])
    (store.home / "drift.json").write_text("[1")
    assert priced(store, [1.0])["since_refresh"].isna().all()
