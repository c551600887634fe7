"""The classifier's guesses in the report."""

from __future__ import annotations

import pytest

from recsys.reporting.report_data import gather
from recsys.storage import records
from tests.recsys.reporting.conftest import BROKEN, NOW, Fill, guessed, rows_of, settings, train

pytestmark = pytest.mark.slow


def test_filled_labels_are_sorted_by_confidence_with_the_catalogues_value(fill: Fill) -> None:
    products = [
        guessed("Watches", 0.999, name="Chronos 5", category_path=["Chronos 5 Analog"]),
        guessed("Footwear", 0.91, name=None, **BROKEN),
        {"label": None},
        guessed("Footwear", 0.99, removed=NOW),
    ]
    store = fill(products)
    model = train(store)
    data = gather(store, settings())
    assert data.guesses.classifier == model
    assert data.guesses.filled.count == 2
    uncertain, certain = data.guesses.filled.shown
    assert (uncertain.product_id, uncertain.title) == ("id-1", "id-1")
    assert uncertain.picture is None and uncertain.catalogue_value is None
    assert (certain.title, certain.catalogue_value, certain.label) == ("Chronos 5", "Chronos 5 Analog", "Watches")
    assert certain.picture is not None and certain.picture.shape == (256, 256, 3)
    assert data.guesses.confidences == pytest.approx({"id-0": 0.999, "id-1": 0.91})


def test_products_to_review_have_no_label_and_no_answer(fill: Fill) -> None:
    store = fill([{}, {"label": None}, {"label": None}, {"label": None, "removed": NOW}])
    store.write("reviews", rows_of("reviews", [{"product_id": "id-1", "reviewed_at": NOW}]))
    assert gather(store, settings()).guesses.to_review == 1


def test_suspicious_labels_are_contradicted_by_the_current_classifier(fill: Fill) -> None:
    store = fill([{"label": "Clothing"} for _ in range(5)] + [guessed("Clothing", 0.92)])
    train(
        store,
        id_0=("Clothing", 0.99),
        id_1=("Watches", 0.96),
        id_2=("Footwear", 0.99),
        id_3=("Watches", 0.9),
        id_5=("Watches", 0.99),
    )
    data = gather(store, settings())
    guesses = [
        (item.product_id, item.catalogue_value, item.label, item.evidence) for item in data.guesses.suspicious.shown
    ]
    assert guesses == [("id-2", "Clothing", "Footwear", "both"), ("id-1", "Clothing", "Watches", "both")]
    assert data.guesses.suspicious.count == 2
    assert gather(store, settings(labels={"suspicious_above": 0.9})).guesses.suspicious.count == 3

    answer = {"product_id": "id-2", "label": "Clothing", "reviewed_at": NOW}
    store.write("reviews", rows_of("reviews", [answer]))
    assert [item.product_id for item in gather(store, settings()).guesses.suspicious.shown] == ["id-1"]


def test_predictions_of_an_old_classifier_make_no_label_suspicious(fill: Fill) -> None:
    store = fill([{"label": "Clothing"}, {}])
    train(store, id_0=("Watches", 0.99))
    records.write(store.home, {}, delete=["classifier/current"])
    data = gather(store, settings())
    assert data.guesses.classifier is None and data.guesses.suspicious.count == 0
