"""What is trained on and judged by: whole groups on one side, always the same, and nothing that a model made up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys.core.configuration import Balance, Configuration, load
from recsys.core.digests import digest
from recsys.models import features
from recsys.models.embedding.examples import _groups, held_out, training_inputs, training_set
from recsys.models.embedding.recipe import Recipe, load_recipe
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from recsys.vision.augmentation import augment
from recsys.vision.square import decode_squared, encode

pytestmark = pytest.mark.slow

SIZE = 8


def noise(seed: int) -> np.ndarray:
    """Return a picture that is like no other, (256, 256, 3) uint8."""
    return cv2.resize(np.random.default_rng(seed).integers(0, 255, (16, 16, 3), np.uint8), (256, 256))


class Shop:
    """The store of one home."""

    def __init__(self, home: Path, configuration: Configuration) -> None:
        self.store, self.configuration, self.products = Store(home), configuration, 0

    def add(
        self,
        path: Sequence[str],
        pictures: Sequence[np.ndarray],
        source: str = "catalogue",
        name: str | None = None,
    ) -> str:
        """Add a product with these pictures, the first its own, and return its id."""
        key = f"p{self.products:03}"
        jpegs = [encode(picture, 95) for picture in pictures]
        digests = [digest([jpeg.hex()]) for jpeg in jpegs]
        urls = [f"http://shop/{key}/{view}" for view in range(len(pictures))]
        self._write(
            "products",
            [
                {
                    "product_id": key,
                    "position": self.products,
                    "name": name,
                    "category_path": list(path),
                    "image_urls": urls,
                }
            ],
        )
        if path:
            self._write("labels", [{"product_id": key, "label": path[0], "source": source}])
        records = [
            {"product_id": key, "url": url, "status": "ok", "image_digest": image, "jpeg": jpeg}
            for url, image, jpeg in zip(urls, digests, jpegs, strict=True)
        ]
        self._write("images", records[:1])
        self._write("views", records[1:])
        self.describe(digests)
        self.products += 1
        return key

    def describe(self, digests: Sequence[str]) -> None:
        embeddings = np.full((len(digests), SIZE), 0.5, np.float32)
        rows = features.rows_of(digests, embeddings, np.ones((len(digests), 1), np.float32))
        self.store.write(features.table_name(self.configuration), rows)

    def scrape(self, label: str, picture: np.ndarray) -> None:
        jpeg = encode(picture, 95)
        self._write("scraped", [{"image_digest": digest([jpeg.hex()]), "label": label, "jpeg": jpeg}])

    def _write(self, table: str, rows: list[dict[str, Any]]) -> None:
        if rows:
            self.store.write(table, pa.Table.from_pylist(rows, schema=SCHEMAS[table]))


def settings(**changes: Any) -> Configuration:
    return load(None, {"evaluation": {"holdout_share": 0.5}, **changes}, environ={})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Thirty rings and watches; one photo shown brighter and twice, three views of one, and what is left out."""
    made = Shop(tmp_path_factory.mktemp("embedding") / "home", settings())
    for seed in range(30):
        made.add(["Watches", "Wrist", f"Brand {seed % 3}"] if seed % 2 else ["Rings", "Silver"], [noise(seed)])
    made.add(["Watches"], [np.clip(noise(1).astype(int) + 6, 0, 255).astype(np.uint8)])  # p030: p001's photo
    made.add(["Rings", "Gold"], [noise(100), noise(101), noise(102)])  # p031
    made.add(["Watches", "Wrist"], [noise(103), noise(101)])  # p032: a view of p031
    made.add(["A category of its own"], [noise(104)], source="predicted")
    made.add([], [noise(105)])
    return made


def test_a_row_is_a_picture_and_what_no_catalogue_says_is_left_out(shop: Shop) -> None:
    rows = training_set(shop.store, shop.configuration)
    assert rows["product_id"].tolist() == [*(f"p{n:03}" for n in range(31)), "p031", "p031", "p031", "p032", "p032"]
    assert rows["view"].tolist() == [0] * 31 + [0, 1, 2, 0, 1]
    assert rows.loc[31, "category_path"] == ["Rings", "Gold"] and rows.loc[31, "label"] == "Rings"


def test_one_photo_and_one_product_are_one_group_on_one_side(shop: Shop) -> None:
    rows = training_set(shop.store, shop.configuration).set_index(["product_id", "view"])
    assert rows.loc[("p001", 0), "group"] == rows.loc[("p030", 0), "group"]
    assert rows.loc[["p031", "p032"], "group"].nunique() == 1
    assert rows["group"].nunique() == 31
    assert (rows.groupby("group")["held_out"].nunique() == 1).all()
    assert 0.2 < rows["held_out"].mean() < 0.8


def test_a_product_stays_on_its_side_when_the_catalogue_grows_and_the_maximum_is_not_exceeded(
    tmp_path: Path,
) -> None:
    made = Shop(tmp_path / "home", settings())
    for seed in range(20):
        made.add(["Rings"], [noise(seed)])
    before = training_set(made.store, made.configuration)
    for seed in range(20, 40):
        made.add(["Rings"], [noise(seed)])
    after = training_set(made.store, made.configuration)
    assert after["held_out"].tolist()[:20] == before["held_out"].tolist()
    assert before.attrs["digest"] != after.attrs["digest"]
    few = training_set(made.store, settings(evaluation={"holdout_share": 0.5, "queries": 4}))
    assert few["held_out"].sum() < after["held_out"].sum()
    assert not (few["held_out"] & ~after["held_out"]).any()


def test_a_lower_share_holds_out_fewer_and_no_others() -> None:
    digests, groups = pd.Series([f"{n}" for n in range(4000)]), pd.Series(np.arange(4000) // 2)
    quarter, half = (held_out(digests, groups, share) for share in (0.25, 0.5))
    assert abs(quarter.mean() - 0.25) < 0.03 and abs(half.mean() - 0.5) < 0.03
    assert not (quarter & ~half).any() and (quarter[::2] == quarter[1::2]).all()


def test_the_digest_depends_on_the_training_data(shop: Shop) -> None:
    one, same = (training_set(shop.store, shop.configuration).attrs["digest"] for _ in range(2))
    other = training_set(shop.store, settings(evaluation={"holdout_share": 0.3})).attrs["digest"]
    assert one == same != other


def test_a_head_is_shown_the_features_of_all(shop: Shop) -> None:
    rows = training_set(shop.store, shop.configuration)
    inputs = training_inputs(shop.store, shop.configuration, load_recipe("default"), rows)
    assert inputs.features is not None and inputs.features.shape == (36, SIZE + 1) and inputs.load is None
    assert inputs.examples is rows


def small(recipe: str, **network: Any) -> Recipe:
    made = load_recipe(recipe)
    assert made.network is not None
    return made.model_copy(update={"network": made.network.model_copy(update=network)})


def test_a_network_is_shown_the_pictures_further_views_too(shop: Shop) -> None:
    rows = training_set(shop.store, shop.configuration)
    inputs = training_inputs(shop.store, shop.configuration, small("fine_tuning", input_size=64), rows)
    assert inputs.load is not None and len(inputs.examples) == 36
    at = int(np.flatnonzero((inputs.examples["product_id"] == "p031") & (inputs.examples["view"] == 2))[0])
    picture = inputs.load(np.array([at]))
    assert picture.shape == (1, 64, 64, 3)
    expected = cv2.resize(decode_squared(encode(noise(102), 95)), (64, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(picture[0], expected)
    assert sorted(inputs.examples["product_id"]) == sorted(rows["product_id"])


def test_the_originals_set_is_grown_and_validated_on_as_many_as_it_says(shop: Shop) -> None:
    configuration = settings(balance=Balance(undersample_above=1_000, most_apart=0).model_dump())
    rows = training_set(shop.store, configuration)
    secret = int(rows.loc[rows["held_out"] & (rows["label"] == "Rings"), "product_id"].str[1:].astype(int).min())
    shop.scrape("Rings", noise(500))
    shop.scrape("Rings", noise(secret))  # the photo of a held-out product
    inputs = training_inputs(
        shop.store, configuration, small("original", input_size=64, materialised_images=50, validation_images=3), rows
    )
    examples = inputs.examples
    assert (~examples["held_out"]).sum() == 50 and examples["held_out"].sum() == 3
    sizes = examples.loc[~examples["held_out"], "label"].value_counts()
    assert sizes.to_dict() == {"Rings": 25, "Watches": 25}
    scraped = examples[examples["origin"] == "scraped"]
    assert scraped["image_digest"].tolist() == [digest([encode(noise(500), 95).hex()])]
    held = set(rows.loc[rows["held_out"], "image_digest"])
    assert not held & set(examples.loc[~examples["held_out"], "image_digest"])
    assert set(examples.loc[examples["held_out"], "origin"]) == {"catalogue"}
    # an augmented picture is varied, and always alike
    assert inputs.load is not None
    at = int(np.flatnonzero(examples["origin"] == "augmented")[0])
    jpegs = shop.store.read("images", ["image_digest", "jpeg"]).to_pandas().set_index("image_digest")["jpeg"]
    source = decode_squared(jpegs.get(examples["image_digest"][at]) or encode(noise(500), 95))
    varied = augment(source[None], examples["seed"].to_numpy()[[at]], configuration.augmentation)[0]
    expected = cv2.resize(varied, (64, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(inputs.load(np.array([at]))[0], expected)


def test_products_of_one_name_are_one_group(shop: Shop, tmp_path: Path) -> None:
    own = Shop(tmp_path / "named", shop.configuration)
    names = ["Red  Shirt!", "red shirt", "Blue shirt", *["Dress"] * 12]
    keys = [own.add(["A"], [noise(900 + n)], name=name) for n, name in enumerate(names)]
    groups = training_set(own.store, own.configuration).set_index("product_id")["group"]
    assert groups[keys[0]] == groups[keys[1]] != groups[keys[2]]
    assert groups[keys[3:]].nunique() == 12  # most of the shop has this name: it is not that of one product


def test_stock_photos_that_names_connect_do_not_make_the_shop_one_group() -> None:
    photos = np.random.default_rng(0).integers(1 << 63, size=12, dtype=np.uint64)
    fingerprints = np.repeat(photos, 10)
    words = [f"{a}{b}" for a in "bcdfghjklm" for b in "aeiouy"]
    names = [f"{words[(n // 2) % 60]} shirt" for n in range(120)]
    shuffled = np.random.default_rng(1).permutation(120)
    rows = pd.DataFrame({"product_id": range(120), "name": [names[n] for n in shuffled], "brand": None})
    groups = _groups(rows, fingerprints)
    assert len(np.unique(groups)) == 12 and (groups == np.arange(120) // 10).all()
