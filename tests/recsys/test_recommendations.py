"""Questions that have no answer, and what a gallery is built from."""

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


def test_an_id_with_a_nul_is_no_other_products_id(store: Store) -> None:
    known = store.read("products", ["product_id"])["product_id"][0].as_py()
    with pytest.raises((UnknownProductError, NoImagesError)):
        recommend_product(store, CONFIGURATION, known + "\0")
