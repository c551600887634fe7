"""Pictures of a training: balanced and grown by recipe, and evaluated on the catalogue's pictures only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.core.configuration import Augmentation, Balance, Configuration
from recsys.core.errors import ConfigurationError
from recsys.models import examples, grouping
from recsys.models.classifier.pictures import Pictures, inputs_key, training_pictures
from recsys.models.classifier.recipe import Recipe, load_recipe
from recsys.vision.augmentation import augment
from recsys.vision.square import decode_squared
from tests.recsys.models.classifier.conftest import KINDS, Shop, settings

DEFAULT = load_recipe("default")
BALANCE = Balance(undersample_above=10, undersample_to=8, most_apart=0)


def original(pictures: int, **changes: object) -> Recipe:
    return load_recipe("original").model_copy(update={"materialised_images": pictures, **changes})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """20 watches, 6 shoes (one without a picture) and 4 rings; of shoes two scraped pictures, one a product's own."""
    made = Shop(tmp_path_factory.mktemp("pictures") / "home", settings())
    made.add(20, "Watches")
    shared = made.noise()
    made.add(5, "Footwear", jpegs=[shared, *(made.noise() for _ in range(4))])
    made.add(1, "Footwear", pictured=False)
    made.add(4, "Jewellery")
    made.scrape("Footwear", [shared, made.noise()])
    made.scrape("Nothing of this shop", [made.noise()])
    made.label()
    return made


@pytest.fixture(scope="module")
def configuration() -> Configuration:
    return settings().model_copy(update={"balance": BALANCE})


def pictures(shop: Shop, configuration: Configuration, recipe: Recipe) -> Pictures:
    key_of = inputs_key(shop.store, configuration, DEFAULT)
    return training_pictures(
        shop.store, configuration, recipe, examples.training_set(shop.store, configuration, key_of)
    )


def sizes(result: Pictures, origin: str) -> list[int]:
    frame = result.frame[result.frame["origin"] == origin]
    return [int((frame["label"] == kind).sum()) for kind in KINDS]


def test_a_head_is_trained_on_all_features(shop: Shop, configuration: Configuration) -> None:
    result = pictures(shop, configuration, DEFAULT)
    assert sizes(result, "catalogue") == [20, 5, 4]
    assert result.from_catalogue.all() and len(result.groups) == 30
    assert isinstance(result.inputs, np.ndarray) and result.inputs.shape == (29, 16)
    assert result.frame["example"].tolist() == [*range(25), *range(26, 30)]


def test_balance_undersamples_large_classes_and_adds_nothing(shop: Shop, configuration: Configuration) -> None:
    recipe = DEFAULT.model_copy(update={"balance": True})
    assert sizes(pictures(shop, configuration, recipe), "catalogue") == [8, 5, 4]


def test_a_materialised_set_is_undersampled_then_grown_by_scraped_and_augmented_pictures(
    shop: Shop, configuration: Configuration
) -> None:
    result = pictures(shop, configuration, original(25))
    assert [sizes(result, origin) for origin in ("catalogue", "scraped", "augmented")] == [
        [8, 5, 4],
        [0, 2, 0],
        [0, 1, 5],
    ]
    assert (
        result.from_catalogue.sum() == 17
        and not result.from_catalogue[(result.frame["origin"] != "catalogue").to_numpy()].any()
    )
    again = pictures(shop, configuration, original(25))
    assert again.frame.equals(result.frame) and again.inputs == result.inputs


def test_added_pictures_are_on_the_side_of_their_group_in_every_split(shop: Shop, configuration: Configuration) -> None:
    result = pictures(shop, configuration, original(40))
    folds = np.arange(len(result.groups)) % 5
    folds = folds[result.groups]  # of whole groups
    of_pictures = result.folds(folds)
    frame = result.frame.assign(fold=of_pictures)
    own = frame[frame["origin"] == "catalogue"]
    assert (own["fold"].to_numpy() == folds[own["example"]]).all()
    assert frame[frame["origin"] != "scraped"].groupby("group")["fold"].nunique().max() == 1
    first, second = frame.loc[frame["origin"] == "scraped", "fold"]  # one is a product's photo, one is like none
    twin = own.loc[own["label"] == "Footwear", "fold"].iloc[0]
    assert (first, second) == (twin, grouping.TRAINING)


def test_a_network_gets_unchanged_pictures_and_augmented_ones_by_their_seed(
    shop: Shop, configuration: Configuration
) -> None:
    result = pictures(shop, configuration, original(40))
    assert isinstance(result.inputs, list)
    rows = np.flatnonzero(result.frame["origin"] == "augmented")[:3]
    seeds = result.frame["seed"].to_numpy()[rows]
    plain = np.stack([decode_squared(result.inputs[row]) for row in rows])
    varied = result.loader(256, Augmentation())(rows)
    np.testing.assert_array_equal(varied, augment(plain, seeds, Augmentation()))
    assert (varied != plain).mean() > 0.1
    np.testing.assert_array_equal(
        result.loader(256, Augmentation())(np.array([0]))[0], decode_squared(result.inputs[0])
    )
    assert result.loader(64, Augmentation())(rows).shape == (3, 64, 64, 3)


def test_too_few_materialised_images_are_an_error(shop: Shop, configuration: Configuration) -> None:
    with pytest.raises(ConfigurationError, match="materialised_images is 20"):
        pictures(shop, configuration, original(20))


def test_only_settings_that_a_recipe_uses_change_its_inputs_key(
    shop: Shop, configuration: Configuration, tmp_path: Path
) -> None:
    def key_of(changed: Configuration, recipe: Recipe) -> str:
        return inputs_key(shop.store, changed, recipe)

    grown, cut = original(25), DEFAULT.model_copy(update={"balance": True})
    balanced = configuration.model_copy(update={"balance": Balance(random_seed=1)})
    varied = configuration.model_copy(update={"augmentation": Augmentation(rotation=5)})
    other_features = configuration.model_copy(
        update={"backbone": configuration.backbone.model_copy(update={"input_size": 128})}
    )
    changes = [balanced, varied, other_features]
    for recipe, matters in ((DEFAULT, (False, False, True)), (cut, (True, False, True)), (grown, (True, True, False))):
        before = key_of(configuration, recipe)
        assert tuple(key_of(changed, recipe) != before for changed in changes) == matters
    file = tmp_path / "any.weights.h5"
    own = original(25, network=grown.network.model_copy(update={"weights": str(file)}))  # type: ignore[union-attr]
    keys = set()
    for content in (b"one", b"another"):
        file.write_bytes(content)
        keys.add(key_of(configuration, own))
    assert len(keys) == 2
