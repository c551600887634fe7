"""Large labels are searched by partitions: nearly the exact candidates, and exact ones where that is not possible."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.core.configuration import Configuration, load
from recsys.models.embedding.serving import Serving
from recsys.ranking import partitions
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.nearest_neighbours import search
from recsys.ranking.outdated import candidates_table
from recsys.ranking.partitions import (
    WHOLE_SHOP,
    Partitions,
    ensure_partitions,
    fit_centroids,
    load_partitions,
    stored_splits,
)
from recsys.ranking.recommendations import missing, recommend_missing, recommend_shard, split_labels
from recsys.storage.store import Store
from tests.recsys.ranking.test_outdated import PICTURES, Product, Shop

INDEX = {"from_label": 300, "sample": 200}


def configured(**index: float) -> Configuration:
    return load(flags={"recommend": {"filter": 10}, "index": {**INDEX, **index}}, environ={})


CONFIGURATION = configured()
SERVES = Serving.of(None, CONFIGURATION)


@pytest.fixture(autouse=True)
def small_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions of five products, so that a small label has many."""
    monkeypatch.setattr(partitions, "SIZE", 5)


def gallery_of(labels: list[str | None], noise: float = 0.3, numbers: int = 16) -> Gallery:
    """Return products in clusters of some twenty, with a little noise around each."""
    random, count = np.random.default_rng(1), len(labels)
    centres = random.standard_normal((max(1, count // 20), numbers))
    vectors = centres[random.integers(0, len(centres), count)] + noise * random.standard_normal((count, numbers))
    return Gallery(
        version="drawn",
        product_ids=np.array([f"p{number:04}" for number in range(count)], dtype=object),
        labels=np.array(labels, dtype=object),
        price_levels=np.full(count, 2.5),
        embeddings=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
        histograms=np.full((count, 8), 1 / 8, np.float32),
    )


def found(gallery: Gallery, of_label: dict[str, Partitions] | None, collapse: bool = False) -> np.ndarray:
    """Return the candidates of all products, (n, 10)."""
    rows = np.full((len(gallery), 10), -1)
    queries = Queries.of(gallery, np.arange(len(gallery)))
    for block in search(queries, gallery, 10, collapse=collapse, partitions=of_label):
        rows[block.queries] = block.rows
    return rows


def split(gallery: Gallery, label: str, searched: int) -> dict[str, Partitions]:
    rows = gallery.rows_by_label[label]
    return {label: Partitions.of(gallery, rows, fit_centroids(gallery.unit_vectors(rows)), searched)}


def test_each_product_is_in_one_partition_and_is_compared_with_its_own() -> None:
    gallery = gallery_of(["Pens", "Lamps"] * 500)
    of_label = split(gallery, "Pens", 4)["Pens"]
    rows = gallery.rows_by_label["Pens"]
    np.testing.assert_array_equal(np.sort(np.concatenate(of_label.members)), rows)
    seen: list[int] = []
    for positions, pool in of_label.groups(rows):
        assert np.isin(rows[positions], pool).all()
        assert (np.diff(pool) > 0).all()
        seen.extend(positions)
    assert sorted(seen) == list(range(500))
    sizes = [len(members) for members in of_label.members]
    assert 50 < len(sizes) <= 100
    assert max(sizes) < 60


def test_the_search_of_all_partitions_is_exact() -> None:
    gallery = gallery_of(["Pens", "Lamps"] * 500)
    np.testing.assert_array_equal(found(gallery, split(gallery, "Pens", 1_000)), found(gallery, None))


def test_few_partitions_find_nearly_all_candidates() -> None:
    gallery = gallery_of(["Pens"] * 1_500)
    exact, approximate = found(gallery, None), found(gallery, split(gallery, "Pens", 8))
    share = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(exact, approximate, strict=True)])
    assert 0.9 < share < 1


def test_a_product_that_finds_too_few_is_compared_with_the_whole_label() -> None:
    """All neighbours of a product are variants of one another, so only one of them is a candidate."""
    gallery = gallery_of(["Pens"] * 600)
    centroids = fit_centroids(gallery.unit_vectors())
    of_label = {"Pens": Partitions.of(gallery, np.arange(600), centroids, 8)}
    groups = np.arange(600)
    pool = next(pool for positions, pool in of_label["Pens"].groups(np.arange(600)) if 0 in positions)
    groups[pool[pool > 0]] = 1_000
    gallery = replace(gallery, groups=np.unique(groups, return_inverse=True)[1])
    exact, approximate = found(gallery, None, collapse=True), found(gallery, of_label, collapse=True)
    np.testing.assert_array_equal(approximate[0], exact[0])
    assert (approximate >= 0).all()


@pytest.mark.parametrize("count", [300, 1])
def test_equal_vectors_are_split(count: int) -> None:
    """A host that answers every URL with one picture; k-means then finds fewer clusters than it is asked for."""
    vectors = np.tile(gallery_of(["Pens"] * count).embeddings[:1], (count, 1))
    centroids = fit_centroids(vectors)
    assert len(centroids) >= 1
    assert np.isfinite(centroids).all()
    assert len(centroids) < 5


def ensured(tmp_path: Path, gallery: Gallery, configuration: Configuration = CONFIGURATION) -> dict[str, int]:
    """Split the large labels, and return the partitions searched by label."""
    ensure_partitions(Store(tmp_path), configuration, SERVES, gallery)
    return {each.label: each.searched for each in stored_splits(Store(tmp_path), SERVES)}


def test_only_large_labels_are_split_and_their_recall_is_measured(tmp_path: Path) -> None:
    gallery = gallery_of(["Pens"] * 1_200 + ["Lamps"] * 250 + [None] * 50)
    assert list(ensured(tmp_path, gallery)) == ["Pens"]
    (pens,) = stored_splits(Store(tmp_path), SERVES)
    assert pens.products == 1_200
    assert pens.recall >= pens.bound == 0.99
    assert 0 < pens.searched <= len(pens.centroids) / 4
    assert "1,200 products, recall" in str(pens)
    loaded = load_partitions(Store(tmp_path), CONFIGURATION, SERVES, gallery, "key")
    exact, approximate = found(gallery, None), found(gallery, dict(loaded))
    assert np.mean(exact == approximate) > 0.98
    np.testing.assert_array_equal(approximate[1_200:], exact[1_200:])


def test_many_products_without_a_label_are_searched_by_partitions_of_the_whole_shop(tmp_path: Path) -> None:
    gallery = gallery_of([None] * 400 + ["Lamps"] * 250 + ["Pens"] * 250)
    assert ensured(tmp_path, gallery)[WHOLE_SHOP] > 0
    loaded = dict(load_partitions(Store(tmp_path), CONFIGURATION, SERVES, gallery, "another key"))
    exact, approximate = found(gallery, None), found(gallery, loaded)
    assert np.mean(exact[:400] == approximate[:400]) > 0.98
    assert (approximate[:400] > 400).any()  # from the whole shop


def test_where_the_recall_is_not_reached_search_stays_exact(tmp_path: Path) -> None:
    gallery = gallery_of(["Pens"] * 600, noise=30, numbers=128)  # no structure at all
    assert ensured(tmp_path, gallery) == {"Pens": 0}
    assert load_partitions(Store(tmp_path), CONFIGURATION, SERVES, gallery, "no structure") == {}
    (pens,) = stored_splits(Store(tmp_path), SERVES)
    assert "search is exact" in str(pens)


def test_a_label_is_split_again_when_its_size_or_a_setting_has_changed(tmp_path: Path) -> None:
    gallery, store = gallery_of(["Pens"] * 1_200), Store(tmp_path)
    assert len(ensure_partitions(store, CONFIGURATION, SERVES, gallery.take(np.arange(500)))) == 1
    assert ensure_partitions(store, CONFIGURATION, SERVES, gallery.take(np.arange(600))) == []
    assert len(ensure_partitions(store, CONFIGURATION, SERVES, gallery)) == 1  # more than twice as many
    assert ensure_partitions(store, CONFIGURATION, SERVES, gallery) == []
    assert len(ensure_partitions(store, configured(recall=0.95), SERVES, gallery)) == 1
    assert len(stored_splits(store, SERVES)) == 1


def test_another_rule_splits_again_and_other_vectors_do_not_meet_old_centroids(tmp_path: Path) -> None:
    """More candidates need more partitions; with a weight of the words, the vectors are longer."""
    gallery, store = gallery_of(["Pens"] * 1_200), Store(tmp_path)
    assert ensured(tmp_path, gallery)["Pens"] > 0
    wider = load(flags={"recommend": {"filter": 15}, "index": INDEX}, environ={})
    assert load_partitions(store, wider, SERVES, gallery, "wider") == {}
    assert ensured(tmp_path, gallery, wider)["Pens"] > 0
    (pens,) = stored_splits(store, SERVES)
    assert pens.recall >= 0.99
    assert set(load_partitions(store, wider, SERVES, gallery, "wider")) == {"Pens"}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop of one large label and a small one."""
    dice = np.random.default_rng(3)
    products = {
        f"p{number}": Product(f"thing {number}", "Pens" if number % 4 else "Lamps", 5.0, int(dice.integers(PICTURES)))
        for number in range(800)
    }
    shop = Shop(tmp_path / "home", products)
    shop.save()
    return shop


def test_a_run_ranks_by_partitions_and_a_second_one_has_nothing_to_do(shop: Shop) -> None:
    configuration = configured(recall=0.7)
    assert recommend_missing(shop.store, configuration, None) == 800
    assert [each.label for each in stored_splits(shop.store, SERVES) if each.searched] == ["Pens"]
    assert missing(shop.store, configuration, None) == []
    assert recommend_missing(shop.store, configuration, None) == 0
    exact = shop.ranked_from_scratch(configured(from_label=10_000))
    stored = shop.stored()
    small = [key for key, product in shop.products.items() if product.label == "Lamps"]
    of_small = [frame[frame["product_id"].isin(small)].reset_index(drop=True) for frame in (stored, exact)]
    pd.testing.assert_frame_equal(*of_small)
    both = stored.merge(exact, on=["product_id", "neighbour_id"])
    assert len(both) / len(exact) > 0.8


def test_products_of_one_partition_are_ranked_together(shop: Shop) -> None:
    configuration = configured(recall=0.7)
    split_labels(shop.store, configuration, None)
    (pens,) = [each for each in stored_splits(shop.store, SERVES) if each.searched]
    keys = [key for shard in missing(shop.store, configuration, None) for key in shard.keys]
    vectors = dict(zip(*_vectors(shop), strict=True))
    of_pens = np.stack([vectors[key] for key in keys if shop.products[key].label == "Pens"])
    numbers = np.argmax(of_pens @ pens.centroids.T, axis=1)
    assert (np.diff(numbers) >= 0).all()
    labels = [shop.products[key].label for key in keys]
    assert labels == sorted(map(str, labels))


def _vectors(shop: Shop) -> tuple[list[str], np.ndarray]:
    from tests.recsys.ranking.test_outdated import VECTORS

    return list(shop.products), VECTORS[[product.picture for product in shop.products.values()]]


def test_a_shard_that_is_retried_writes_no_row_twice(shop: Shop) -> None:
    (shard,) = missing(shop.store, CONFIGURATION, None)
    assert shard.is_new
    recommend_shard(shop.store, shard, CONFIGURATION, None)
    once = shop.stored()
    recommend_shard(shop.store, shard, CONFIGURATION, None)  # Prefect retries a task that was killed after its commit
    pd.testing.assert_frame_equal(shop.stored(), once)
    assert shop.store.count(candidates_table(SERVES)) == 800
    shop.products["p1"] = replace(shop.products["p1"], label="Lamps")
    shop.save()
    assert not any(shard.is_new for shard in missing(shop.store, CONFIGURATION, None))


def test_rankings_of_a_shop_without_products_are_deleted(shop: Shop) -> None:
    recommend_missing(shop.store, CONFIGURATION, None)
    shop.removed, shop.products = shop.products, {}
    shop.save()
    recommend_missing(shop.store, CONFIGURATION, None)
    assert len(shop.stored()) == 0
    assert missing(shop.store, CONFIGURATION, None) == []
