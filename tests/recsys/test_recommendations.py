"""Questions that have no answer, and what a gallery is built from."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from recsys.catalogue.intake import take_in
from recsys.configuration import load
from recsys.errors import NoImagesError, UnknownProductError
from recsys.gallery import load_shop
from recsys.recommendations import missing, recommend_product
from recsys.sample_shop import SampleShop
from recsys.store import Store

CONFIGURATION = load(environ={})


@pytest.fixture
def store(tmp_path: Path, shop: SampleShop) -> Store:
    """A catalogue, and nothing else yet."""
    store = Store(tmp_path / "home")
    take_in(store, str(shop.catalogue), CONFIGURATION, pd.Timestamp.now("UTC").to_pydatetime())
    return store


def test_a_shop_without_features_says_what_to_do(store: Store) -> None:
    with pytest.raises(NoImagesError, match="run 'recsys run"):
        recommend_product(store, CONFIGURATION, "any")


def test_a_shop_without_images_has_nothing_to_rank(store: Store) -> None:
    assert missing(store, CONFIGURATION, None) == []
    frame, gallery = load_shop(store, CONFIGURATION)
    assert len(frame) == len(gallery) == 0


def test_a_shop_is_read_again_when_something_of_it_changed_and_only_then(small_shop: Callable[..., Store]) -> None:
    store = small_shop(["a", "b", "c"], ["A", "B", "C"])
    frame, gallery = load_shop(store, CONFIGURATION)
    again = load_shop(store, CONFIGURATION)
    assert again[0] is frame and again[1] is gallery
    row = store.read("products", where="product_id = 'b'")
    removed = row.schema.get_field_index("removed")
    store.write("products", row.set_column(removed, row.schema.field(removed), row["changed"]))
    frame, gallery = load_shop(store, CONFIGURATION)
    assert frame["product_id"].tolist() == gallery.product_ids.tolist() == ["a", "c"]


def test_an_id_with_a_nul_is_no_other_products_id(store: Store) -> None:
    known = store.read("products", ["product_id"])["product_id"][0].as_py()
    with pytest.raises((UnknownProductError, NoImagesError)):
        recommend_product(store, CONFIGURATION, known + "\0")
