"""Rankings after changes of the shop: equal to ranking everything again, with only the outdated ones made."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys.core.configuration import Configuration, load
from recsys.models import features
from recsys.models.embedding.serving import Serving
from recsys.ranking.outdated import longest_increasing, outdated, settle, state_key
from recsys.ranking.recommendations import missing, recommend_missing, recommend_shard
from recsys.storage import records
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store

LABELS = ("Pens", "Watches", "Lamps", None)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
CONFIGURATION = load(flags={"recommend": {"filter": 6, "top": 3, "demo_top": 4}}, environ={})
ORIGINAL = load(flags={"recommend": {"rule": "original", "filter": 6, "top": 3, "demo_top": 4}}, environ={})
SERVES = Serving.of(None, CONFIGURATION)
PICTURES = 400
CHANGES = ("new", "first", "remove", "return", "name", "label", "price", "picture", "features", "swap")


@dataclass(frozen=True)
class Product:
    """A product as the tables of a home have it; its picture is one of `PICTURES`."""

    name: str
    label: str | None
    price: float
    picture: int
    has_features: bool = True


@dataclass
class Shop:
    """Products by id, in the order of the catalogue, and the home with their tables."""

    home: Path
    products: dict[str, Product] = field(default_factory=dict)
    removed: dict[str, Product] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return Store(self.home)

    def save(self) -> None:
        """Write the products to the home's tables."""
        every = {**self.products, **self.removed}
        ids, count = list(every), len(every)
        common = {
            "product_id": ids,
            "row_digest": ids,
            "image_digest": [f"picture {product.picture}" for product in every.values()],
            "name": [product.name for product in every.values()],
            "brand": ["Acme"] * count,
            "label": [product.label for product in every.values()],
            "price": [product.price for product in every.values()],
            "position": range(count),
            "first_seen": [NOW] * count,
            "changed": [NOW] * count,
            "removed": [NOW if product in self.removed else None for product in ids],
            "status": ["ok"] * count,
        }
        for table in ("products", "images", "labels"):
            schema = SCHEMAS[table]
            columns = {name: common.get(name, pa.nulls(count)) for name in schema.names}
            self.store.write(table, pa.table(columns).cast(schema), replace="true")
        described = sorted({product.picture for product in every.values() if product.has_features})
        names = [f"picture {number}" for number in described]
        rows = features.rows_of(names, VECTORS[described], HISTOGRAMS[described])
        self.store.write(features.table_name(CONFIGURATION), rows, replace="true")

    def stored(self) -> pd.DataFrame:
        """Return the stored recommendations."""
        table = self.store.read(SERVES.recommendations).to_pandas().drop(columns="basis")
        return table.sort_values(["product_id", "rank"], ignore_index=True)

    def ranked_from_scratch(self, configuration: Configuration = CONFIGURATION) -> pd.DataFrame:
        """Return the recommendations of a copy of the home without any ranking."""
        copy = replace(self, home=self.home.with_name("copy"))
        shutil.rmtree(copy.home, ignore_errors=True)
        shutil.copytree(self.home, copy.home)
        for kind in ("recommendations", "candidates", "ranked"):
            copy.store.drop(f"{kind}-{SERVES.version}")
        records.write(copy.home, {}, delete=[f"ranking/{SERVES.version}"])
        recommend_missing(copy.store, configuration, None)
        return copy.stored()


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


_random = np.random.default_rng(0)
VECTORS = unit(_random.standard_normal((PICTURES, 8)))
VECTORS[1::2][::3] = VECTORS[::2][::3]  # pictures that look the same: equal likenesses
HISTOGRAMS = _random.dirichlet(np.full(768, 5), PICTURES).astype(np.float32)


def draw(dice: random.Random) -> Product:
    """Draw a product; a few share a name, so that they may be variants."""
    name = f"thing {dice.randrange(60)} {dice.choice(['red', 'blue', ''])}"
    return Product(name, dice.choice(LABELS), float(dice.randrange(1, 50)), dice.randrange(PICTURES))


def change(shop: Shop, dice: random.Random, number: int) -> None:
    """Change a few products of the shop at random."""
    for step in range(dice.randrange(1, 5)):
        some = dice.choice(list(shop.products))
        kind = dice.choice(CHANGES)
        if kind == "new":
            shop.products[f"new {number}.{step}"] = draw(dice)
        elif kind == "first":  # in front of the others
            shop.products = {f"first {number}.{step}": draw(dice), **shop.products}
        elif kind == "remove":
            shop.removed[some] = shop.products.pop(some)
        elif kind == "return" and shop.removed:
            back = dice.choice(list(shop.removed))
            shop.products[back] = shop.removed.pop(back)
        elif kind == "swap":  # another order of the catalogue
            keys = list(shop.products)
            shop.products = {key: shop.products[key] for key in [*keys[1:], keys[0]]}
        elif kind == "features":
            shop.products[some] = replace(shop.products[some], has_features=not shop.products[some].has_features)
        elif kind in ("name", "label", "price", "picture"):
            shop.products[some] = replace(shop.products[some], **{kind: getattr(draw(dice), kind)})


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A ranked shop of 150 products in three labels, some without a label, and one alone in its label."""
    dice = random.Random(1)
    shop = Shop(tmp_path / "home", {f"p{number}": draw(dice) for number in range(150)})
    shop.products["alone"] = replace(draw(dice), label="Bowls")
    shop.save()
    assert recommend_missing(shop.store, CONFIGURATION, None) == 151
    return shop


@pytest.mark.parametrize("seed", range(6))
def test_after_random_changes_the_rankings_equal_those_from_scratch(shop: Shop, seed: int) -> None:
    dice, made = random.Random(seed), []
    for number in range(8):
        change(shop, dice, number)
        shop.save()
        made.append(recommend_missing(shop.store, CONFIGURATION, None) / len(shop.products))
        pd.testing.assert_frame_equal(shop.stored(), shop.ranked_from_scratch(), check_exact=True)
        assert missing(shop.store, CONFIGURATION, None) == []
    assert min(made) < 0.5  # not everything


@pytest.mark.parametrize(("values", "expected"), [((), 0), ((1, 2, 3), 3), ((3, 2, 1), 1), ((2, 3, 4, 1), 3)])
def test_the_longest_increasing_subsequence(values: tuple[float, ...], expected: int) -> None:
    places = longest_increasing(np.array(values, float))
    assert len(places) == expected
    assert (np.diff(places) > 0).all()
    assert (np.diff(np.array(values)[places]) > 0).all()


def test_the_longest_increasing_subsequence_of_random_values_equals_that_of_all_pairs() -> None:
    for seed in range(50):
        values = np.random.default_rng(seed).permutation(12).astype(float)
        longest = [1] * 12
        for place in range(12):
            longest[place] += max((longest[at] for at in range(place) if values[at] < values[place]), default=0)
        places = longest_increasing(values)
        assert len(places) == max(longest)
        assert (np.diff(values[places]) > 0).all()


@pytest.mark.parametrize("back", [False, True])
def test_a_product_that_moves_in_the_catalogue_does_not_rank_everything(shop: Shop, back: bool) -> None:
    """The intake gives a changed row a new position, which others may pass."""
    keys = list(shop.products)
    moved = [keys[-1], *keys[:-1]] if back else [*keys[1:20], keys[0], *keys[20:]]
    shop.products = {key: shop.products[key] for key in moved}
    shop.save()
    assert 0 < recommend_missing(shop.store, CONFIGURATION, None) < 60
    pd.testing.assert_frame_equal(shop.stored(), shop.ranked_from_scratch(), check_exact=True)


@pytest.mark.parametrize("seed", range(6))
def test_after_interrupted_rankings_too(shop: Shop, seed: int) -> None:
    """Each ranking ends after some of its shards, and the shop changes before the next one, now and then back."""
    dice = random.Random(100 + seed)
    configuration = CONFIGURATION.model_copy(
        update={"recommend": CONFIGURATION.recommend.model_copy(update={"shard_size": 5})}
    )
    for number in range(8):
        before = dict(shop.products), dict(shop.removed)
        change(shop, dice, number)
        shop.save()
        work = missing(shop.store, configuration, None)
        for shard in dice.sample(work, dice.randrange(len(work) + 1)):
            recommend_shard(shop.store, shard, configuration, None)
        settle(shop.store, configuration, SERVES)
        if dice.random() < 0.4:
            shop.products, shop.removed = before
            shop.save()
    recommend_missing(shop.store, configuration, None)
    pd.testing.assert_frame_equal(shop.stored(), shop.ranked_from_scratch(configuration), check_exact=True)


def test_rankings_of_a_state_that_was_not_completed_are_made_again(shop: Shop) -> None:
    before, some = dict(shop.products), next(key for key, product in shop.products.items() if product.label == "Pens")
    shop.products[some] = replace(shop.products[some], picture=PICTURES - 1)
    shop.save()
    configuration = CONFIGURATION.model_copy(
        update={"recommend": CONFIGURATION.recommend.model_copy(update={"shard_size": 2})}
    )
    first, *_, _ = missing(shop.store, configuration, None)
    recommend_shard(shop.store, first, configuration, None)
    shop.products = before
    shop.save()
    assert recommend_missing(shop.store, configuration, None) == 2
    pd.testing.assert_frame_equal(shop.stored(), shop.ranked_from_scratch(configuration), check_exact=True)


def test_a_change_that_no_ranking_depends_on_makes_none(shop: Shop) -> None:
    key = state_key(shop.store, CONFIGURATION, SERVES)
    shop.save()  # new versions of all tables, with the same content
    assert recommend_missing(shop.store, CONFIGURATION, None) == 0
    assert state_key(shop.store, CONFIGURATION, SERVES) == key
    version = shop.store.version("records")
    recommend_missing(shop.store, CONFIGURATION, None)
    assert shop.store.version("records") == version  # nothing to record either


def test_a_new_price_at_another_level_ranks_only_the_lists_that_have_the_product(shop: Shop) -> None:
    some = next(key for key, product in shop.products.items() if product.label == "Pens")
    shop.products[some] = replace(shop.products[some], price=1_000.0)
    shop.save()
    products = set(outdated(shop.store, CONFIGURATION, SERVES))
    candidates = shop.store.read(f"candidates-{SERVES.version}").to_pandas()
    having = {row.product_id for row in candidates.itertuples() if some in row.neighbour_ids}
    assert {some} | having <= products
    assert len(products) < len(shop.products) / 2


def test_equally_good_recommendations_are_in_the_order_of_the_catalogue(shop: Shop) -> None:
    shop.products = {f"p{n}": Product(f"thing {n}", "Pens", 1.0, n) for n in range(60, 80, 2)}
    VECTORS[60:80] = VECTORS[60]
    HISTOGRAMS[60:80] = HISTOGRAMS[60]
    for products in (shop.products, dict(reversed(shop.products.items()))):
        shop.products = products
        shop.save()
        recommend_missing(shop.store, ORIGINAL, None)
        first = shop.stored().query("rank == 1").set_index("product_id")["neighbour_id"]
        keys = list(products)
        assert first.to_dict() == {key: keys[1] if key == keys[0] else keys[0] for key in keys}


def test_another_rule_ranks_every_product(shop: Shop) -> None:
    other = CONFIGURATION.model_copy(
        update={"recommend": CONFIGURATION.recommend.model_copy(update={"price_weight": 2.0})}
    )
    assert recommend_missing(shop.store, other, None) == len(shop.products)
    pd.testing.assert_frame_equal(shop.stored(), shop.ranked_from_scratch(other), check_exact=True)


def test_the_last_product_of_a_shop_has_no_ranking(shop: Shop) -> None:
    shop.removed = {key: product for key, product in shop.products.items() if key != "p0"}
    shop.products = {"p0": shop.products["p0"]}
    shop.save()
    recommend_missing(shop.store, CONFIGURATION, None)
    assert shop.stored().empty
    assert missing(shop.store, CONFIGURATION, None) == []
