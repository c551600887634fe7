from pathlib import Path

import pytest

from recsys.core.configuration import Configuration, Original, explain, load
from recsys.core.errors import ConfigurationError


def test_the_defaults_are_the_figures_of_the_original() -> None:
    c = load(environ={})
    assert c.images.side == 256
    assert (c.balance.undersample_above, c.balance.undersample_to, c.balance.random_seed) == (2000, 1500, 12345)
    assert (c.classifier.recipe, c.classifier.precision) == ("default", 0.99)
    assert (c.embedding.recipe, c.evaluation.holdout_share) == ("default", 0.25)
    assert (c.tsne.perplexity, c.tsne.iterations, c.tsne.components) == (40, 300, 2)
    assert (c.colour.hue_bins, c.colour.saturation_bins, c.colour.value_bins) == (12, 8, 8)
    assert c.price.quantiles == (0.30, 0.65, 0.90) and c.price.neutral_level == 2.5
    assert (c.recommend.filter, c.recommend.top, c.recommend.demo_top) == (20, 5, 9)
    assert len(c.labels.merge) == Original.LABELS
    assert Original.PRODUCTS - Original.BROKEN_IMAGE_URLS == Original.PRODUCTS_WITH_IMAGE
    assert Original.CLASSIFIER_TRAINING_IMAGES + Original.CLASSIFIER_VALIDATION_IMAGES == Original.BALANCED_IMAGES


def test_flags_take_precedence_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "recsys.toml").write_text("[images]\ntimeout_s = 1\nattempts = 1\nside = 128\n")
    environ = {"RECSYS_IMAGES__TIMEOUT_S": "2", "RECSYS_IMAGES__ATTEMPTS": "2"}
    flags = {"images": {"timeout_s": 3}}
    c = load(tmp_path, flags, environ=environ)
    assert (c.images.timeout_s, c.images.attempts, c.images.side) == (3, 2, 128)
    sources = {value.key: value.source for value in explain(tmp_path, flags, environ=environ)}
    assert sources["images.timeout_s"] == "flag"
    assert sources["images.attempts"] == "environment"
    assert sources["images.side"] == str(tmp_path / "recsys.toml")
    assert sources["images.max_bytes"] == "default"


def test_another_file_can_be_selected(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[recommend]\ntop = 7\n")
    assert load(tmp_path, environ={"RECSYS_CONFIG": str(file)}).recommend.top == 7
    with pytest.raises(ConfigurationError, match="does not exist"):
        load(tmp_path, environ={"RECSYS_CONFIG": str(tmp_path / "nowhere.toml")})


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[images]\ntimout_s = 3", "unknown key 'images.timout_s'; did you mean 'images.timeout_s'"),
        ("[picture]\nside = 3", "unknown key 'picture'"),
        ("images = 3", "'images' is a section"),
        ("[images]\ntimeout_s = -1", "impossible value for 'images.timeout_s'"),
        ("[images]\ntimeout_s = 'soon'", "impossible value for 'images.timeout_s'"),
        ("[recommend]\nfilter = 3", "filter .3. must be at least top .5."),
        ("[price]\nquantiles = [0.5, 0.4, 0.9]", "must ascend"),
        ("[colour]\nmask = 'border'", "impossible value for 'colour.mask'"),
        ("[backbone]\nname = 'vgg16'", "impossible value for 'backbone.name'"),
        ("[labels.merge]\nA = ['x']\nB = ['x']", "'x' is merged into both 'A' and 'B'"),
        ("[images", "cannot be read"),
    ],
)
def test_a_wrong_file_names_its_key(tmp_path: Path, toml: str, message: str) -> None:
    (tmp_path / "recsys.toml").write_text(toml)
    with pytest.raises(ConfigurationError, match=message) as raised:
        load(tmp_path, environ={})
    assert "recsys.toml" in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["RECSYS_IMAGES__TIMOUT_S", "RECSYS_PICTURE", "RECSYS_IMAGES"])
def test_an_unknown_environment_variable_is_an_error(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name if name != "RECSYS_IMAGES" else "images"):
        load(environ={name: "3"})


def test_a_shop_has_its_own_merge_table(tmp_path: Path) -> None:
    (tmp_path / "recsys.toml").write_text("[labels.merge]\nShoes = ['Boots', 'Sandals']\n")
    assert load(tmp_path, environ={}).labels.merge == {"Shoes": ("Boots", "Sandals")}


def test_lists_and_tables_may_come_from_the_environment() -> None:
    c = load(environ={"RECSYS_PRICE__QUANTILES": "[0.2, 0.5, 0.8]", "RECSYS_LABELS__MERGE": '{"A": ["a"]}'})
    assert c.price.quantiles == (0.2, 0.5, 0.8)
    assert c.labels.merge == {"A": ("a",)}


def test_every_value_is_explained_once() -> None:
    keys = [value.key for value in explain(environ={})]
    assert len(keys) == len(set(keys)) > 60
    assert {key.split(".")[0] for key in keys} == set(Configuration.model_fields)


@pytest.mark.parametrize(
    "name", ["resnet50", "hub:vit_base_patch16_224_imagenet", "hf://keras/vit", "kaggle://a/b/keras/c/1"]
)
def test_a_backbone_is_a_name_or_an_address(name: str) -> None:
    assert load(None, {"backbone": {"name": name}}, environ={}).backbone.name == name


def test_a_backbone_is_a_folder_that_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "encoder").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in (str(tmp_path / "encoder"), "encoder", "hub:./encoder"):
        assert load(None, {"backbone": {"name": name}}, environ={}).backbone.name == name
    for name in ("absent", "hub:/absent", "hub:", "", "file:///encoder"):
        with pytest.raises(ConfigurationError, match=r"backbone\.name.*'.*' is not one of efficientnet_lite0"):
            load(None, {"backbone": {"name": name}}, environ={})


def test_weights_are_only_of_built_in_backbones(tmp_path: Path) -> None:
    flags = {"backbone": {"name": str(tmp_path), "weights": "resnet50.h5"}}
    with pytest.raises(ConfigurationError, match=r"remove backbone\.weights"):
        load(None, flags, environ={})


def test_another_backbone_has_its_own_weights(tmp_path: Path) -> None:
    own = load(None, {"backbone": {"weights": "file.h5", "input_size": 128}}, environ={})
    assert own.with_backbone("efficientnet_lite0") is own
    other = own.with_backbone(str(tmp_path))
    assert (other.backbone.weights, other.backbone.input_size) == ("imagenet", 128)
    with pytest.raises(ConfigurationError, match=r"backbone\.name.*'vgg16'"):
        own.with_backbone("vgg16")
