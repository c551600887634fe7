"""Suspicious labels: which contradictions are shown, in which order, and that nothing is changed."""

from __future__ import annotations

from recsys.models.labels.ledger import Filling
from recsys.models.labels.review import suspicious_labels
from tests.recsys.models.labels.small_shop import Shop

SHOWN = ["product_id", "label", "predicted"]


def test_contradicted_catalogue_labels_are_listed_by_confidence(shop: Shop) -> None:
    shop.update(("a", "Clothing", "Uhr"), ("b", "Sunglasses", "Sofa"), ("c", "Watches"), ("d", "Clothing"), ("e", "?"))
    shop.predict(
        a=("Watches", 0.96), b=("Home Furnishing", 0.99), c=("Watches", 1.0), d=("Watches", 0.9), e=("Watches", 1.0)
    )
    shop.picture(a="http://shop.example/a.jpg")
    shop.label(filling=Filling("1", 0.99))
    version = shop.store.version("labels")
    rows = suspicious_labels(shop.store, 0.95)
    assert rows[SHOWN].values.tolist() == [["b", "Eyewear", "Home Furnishing"], ["a", "Clothing", "Watches"]]
    assert rows["name"].tolist() == ["Sofa", "Uhr"] and rows["source"].tolist() == ["merged", "catalogue"]
    assert rows["image_digest"].isna().tolist() == [True, False]
    assert shop.store.version("labels") == version and shop.labels()["a"] == "Clothing"
    assert suspicious_labels(shop.store, 0.9)["product_id"].tolist() == ["b", "a", "d"]  # 0.9 itself, as float32


def test_reviewed_and_removed_products_are_not_listed(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "Clothing"), ("c", "Clothing"))
    shop.predict(a=("Watches", 0.99), b=("Watches", 0.99), c=("Watches", 0.99))
    shop.label()
    shop.review(a="Clothing")
    shop.update(("a", "Clothing"), ("b", "Clothing"))
    assert suspicious_labels(shop.store, 0.9)["product_id"].tolist() == ["b"]


def test_predictions_of_other_models_can_be_left_out(shop: Shop) -> None:
    shop.update(("a", "Clothing"), ("b", "Clothing"))
    shop.predict("1", a=("Watches", 0.99))
    shop.predict("2", b=("Watches", 0.99))
    shop.label()
    assert suspicious_labels(shop.store, 0.9, "2")["product_id"].tolist() == ["b"]
    assert suspicious_labels(shop.store, 0.9)["product_id"].tolist() == ["a", "b"]


def test_without_predictions_nothing_is_suspicious(shop: Shop) -> None:
    assert suspicious_labels(shop.store, 0.0).empty
    shop.update(("a", "Clothing"))
    shop.label()
    assert suspicious_labels(shop.store, 0.0).empty
