"""The gallery of a shop, the shards of the recommendations stage, and queries without an answer."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from recsys.core.configuration import load
from recsys.core.errors import NoImagesError, UnknownProductError
from recsys.ingest.catalogue.intake import take_in
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.recommendations import missing
from recsys.ranking.single_query import recommend_product
from recsys.storage.store import Store
from sample_shop import SampleShop

CONFIGURATION = load(environ={})


@pytest.fixture
def store(tmp_path: Path, shop: SampleShop) -> Store:
    """A home with a catalogue and nothing else."""
    store = Store(tmp_path / "home")
    take_in(store, str(shop.catalogue), CONFIGURATION, pd.Timestamp.now("UTC").to_pydatetime())
    return store


def test_a_query_to_a_shop_without_features_reports_the_remedy(store: Store) -> None:
    with pytest.raises(NoImagesError, match="run 'recsys run"):
        recommend_product(store, CONFIGURATION, "any")


def test_a_shop_without_images_has_no_shards(store: Store) -> None:
    assert missing(store, CONFIGURATION, None) == []
    frame, gallery = load_gallery(store, CONFIGURATION)
    assert len(frame) == len(gallery) == 0


def test_a_gallery_is_read_again_only_after_a_change(small_shop: Callable[..., Store]) -> None:
    store = small_shop(["a", "b", "c"], ["A", "B", "C"])
    frame, gallery = load_gallery(store, CONFIGURATION)
    again = load_gallery(store, CONFIGURATION)
    assert again[0] is frame and again[1] is gallery
    row = store.read("products", where="product_id = 'b'")
    removed = row.schema.get_field_index("removed")
    store.write("products", row.set_column(removed, row.schema.field(removed), row["changed"]))
    frame, gallery = load_gallery(store, CONFIGURATION)
    assert frame["product_id"].tolist() == gallery.product_ids.tolist() == ["a", "c"]


def test_variants_are_computed_only_where_the_rule_collapses_them(small_shop: Callable[..., Store]) -> None:
    store = small_shop(["a", "b"], ["A", "B"])
    original = load(flags={"recommend": {"rule": "original"}}, environ={})
    for _ in range(2):  # the cached gallery of one rule is not used for the other
        assert load_gallery(store, CONFIGURATION)[1].groups is not None
        assert load_gallery(store, original)[1].groups is None


def test_a_shard_has_products_of_few_labels(small_shop: Callable[..., Store]) -> None:
    ids = [f"p{number}" for number in range(9)]
    store = small_shop(ids, ids)
    label_of = dict(zip(ids, ["Pens", "Watches", None] * 3, strict=True))
    labels = store.read("labels").to_pandas()
    labels["label"] = [label_of[key] for key in labels["product_id"]]
    store.write("labels", pa.Table.from_pandas(labels, store.read("labels").schema, preserve_index=False))
    shards = missing(store, load(flags={"recommend": {"shard_size": 3}}, environ={}), None)
    assert sorted(shard.keys for shard in shards) == [("p0", "p3", "p6"), ("p1", "p4", "p7"), ("p2", "p5", "p8")]


def test_an_id_with_a_nul_is_not_another_products_id(store: Store) -> None:
    known = store.read("products", ["product_id"])["product_id"][0].as_py()
    with pytest.raises((UnknownProductError, NoImagesError)):
        recommend_product(store, CONFIGURATION, known + "\0")
