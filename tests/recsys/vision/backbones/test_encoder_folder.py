"""Encoders in a folder: preprocessing, outputs, versions, and files that are wrong, damaged or hostile."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from PIL import Image

from recsys.core.errors import ConfigurationError, RecsysError, WeightsError
from recsys.vision import backbones
from recsys.vision.backbones.encoder_description import MAX_JSON_BYTES, read_description
from recsys.vision.backbones.encoder_folder import Encoder
from tests.encoders import describe, dual_encoder, encoder_folder, picture_encoder, text_encoder, tokenizer


@pytest.fixture
def images() -> np.ndarray:
    """Three pictures, (3, 256, 256, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), np.uint8)


def expected_input(image: np.ndarray, resized: int, cropped: int, mean: list[float], std: list[float]) -> np.ndarray:
    """Return the input (3, h, w) of a picture, as Hugging Face computes it."""
    picture = Image.fromarray(image).resize((resized, resized), Image.Resampling.BICUBIC)
    edge = (resized - cropped) // 2
    pixels = np.asarray(picture)[edge : edge + cropped, edge : edge + cropped] / 255
    return ((pixels - mean) / std).transpose(2, 0, 1)


def vectors_of(file: Path, inputs: np.ndarray) -> np.ndarray:
    """Return the vectors of prepared inputs (n, 3, h, w) by a slow convolution: mean over space, unit length."""
    kernel = onnx.numpy_helper.to_array(onnx.load(str(file)).graph.initializer[0])  # (d, 3, 8, 8)
    n, _, height, width = inputs.shape
    patches = inputs.reshape(n, 3, height // 8, 8, width // 8, 8)
    maps = np.tanh(np.einsum("nchiwj,dcij->ndhw", patches, kernel))
    means = maps.mean(axis=(2, 3))
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def test_pictures_are_resized_cropped_and_normalised_by_the_description(tmp_path: Path, images: np.ndarray) -> None:
    folder = encoder_folder(tmp_path / "mine")
    inputs = np.stack([expected_input(image, 48, 40, [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]) for image in images])
    features = Encoder(folder)(images)
    np.testing.assert_allclose(features, vectors_of(folder / "model.onnx", inputs), atol=1e-4)
    assert features.dtype == np.float32 and features.shape == (3, 24)
    np.testing.assert_allclose(Encoder(folder)(images, batch_size=2), features, atol=1e-5)
    assert Encoder(folder)(images[:0]).shape == (0, 24)


def test_a_preprocessor_of_hugging_face_is_read_as_it_is_and_own_keys_win(tmp_path: Path, images: np.ndarray) -> None:
    folder = dual_encoder(tmp_path / "clip")
    model = folder / "onnx" / "vision_model.onnx"
    inputs = np.stack([expected_input(image, 40, 40, [0.5] * 3, [0.25] * 3) for image in images])
    np.testing.assert_allclose(Encoder(folder)(images), vectors_of(model, inputs), atol=1e-4)
    describe(folder, size=[48, 48], mean=[0, 0, 0])
    inputs = np.stack([expected_input(image, 48, 40, [0] * 3, [0.25] * 3) for image in images])
    np.testing.assert_allclose(Encoder(folder)(images), vectors_of(model, inputs), atol=1e-4)


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({"size": 32}, {"size": 32, "resize": "stretch", "scale": 1 / 255, "mean": (0, 0, 0)}),
        ({"size": {"height": 32, "width": 40}}, {"size": (32, 40), "resize": "stretch"}),
        ({"size": {"shortest_edge": 32}, "crop_size": 24}, {"size": 32, "resize": "shortest_edge", "crop": 24}),
        ({"size": 32, "crop_size": 24, "do_center_crop": False}, {"crop": None}),
        ({"size": 32, "do_resize": False}, {"size": None}),
        ({"do_rescale": False, "resample": 2}, {"scale": 1.0, "resample": "bilinear"}),
        ({"do_normalize": False, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]}, {"mean": (0, 0, 0)}),
        ({"rescale_factor": 0.5, "image_mean": [1, 2, 3], "image_std": [1, 2, 4]}, {"scale": 0.5, "std": (1, 2, 4)}),
        ({"feature_extractor_type": "X", "unknown": [1]}, {"size": None}),
    ],
)
def test_the_keys_of_hugging_face(given: dict[str, Any], keys: dict[str, Any], tmp_path: Path) -> None:
    picture_encoder(tmp_path / "model.onnx")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(given), encoding="utf-8")
    read = read_description(tmp_path).model_dump()
    assert {key: read[key] for key in keys} == keys


@pytest.mark.parametrize("kind", ["map", "tokens", "vector"])
@pytest.mark.parametrize("shape", [("n", 3, 40, 40), (1, 40, 40, 3), ("n", 3, "h", "w")])
def test_layout_size_output_and_pooling_come_from_the_model(
    kind: str, shape: tuple[Any, ...], tmp_path: Path, images: np.ndarray
) -> None:
    picture_encoder(tmp_path / "any.onnx", kind=kind, shape=shape)
    encoder = Encoder(describe(tmp_path, size=40) if "h" in shape else describe(tmp_path))
    settings = encoder.description
    assert settings.layout == ("NHWC" if shape[-1] == 3 else "NCHW") and settings.file == "any.onnx"
    assert settings.pooling == {"map": "mean", "tokens": "first", "vector": "none"}[kind]
    features = encoder(images, batch_size=2)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert features.shape == (3, 24) and np.abs(features[0] - features[1]).max() > 0.01


def test_tokens_can_be_averaged(tmp_path: Path, images: np.ndarray) -> None:
    for name, kind in (("map", "map"), ("tokens", "tokens")):
        (tmp_path / name).mkdir()
        picture_encoder(tmp_path / name / "model.onnx", kind=kind)
        describe(tmp_path / name, pooling="mean")
    np.testing.assert_allclose(Encoder(tmp_path / "map")(images), Encoder(tmp_path / "tokens")(images), atol=1e-5)


@pytest.mark.parametrize(("dtype", "scale"), [(TensorProto.FLOAT16, 1 / 255), (TensorProto.UINT8, 1.0)])
def test_inputs_of_other_types(dtype: int, scale: float, tmp_path: Path, images: np.ndarray) -> None:
    picture_encoder(tmp_path / "model.onnx", dtype=dtype)
    assert Encoder(describe(tmp_path, scale=scale))(images).shape == (3, 24)


def test_the_version_is_a_table_name_and_changes_with_model_and_description(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path / "Göteborg's encoder (v2)")
    versions = [backbones.version(str(folder))]
    assert re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{8}", versions[0])
    picture_encoder(folder / "model.onnx", seed=5)
    versions.append(backbones.version(str(folder)))
    describe(folder, size=40)
    versions.append(backbones.version(str(folder)))
    assert len(set(versions)) == 3
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / folder.name)
    assert backbones.version(str(copy)) == versions[-1]
    assert backbones.FeatureExtractor(str(copy)).version == versions[-1]


def test_weights_in_a_second_file_count_and_are_copied(tmp_path: Path, images: np.ndarray) -> None:
    folder = encoder_folder(tmp_path / "mine")
    model = onnx.load(str(folder / "model.onnx"))
    onnx.save(model, str(folder / "model.onnx"), save_as_external_data=True, location="w.data", size_threshold=0)
    version, features = backbones.version(str(folder)), Encoder(folder)(images)
    Encoder(folder).save(tmp_path / "artifact", "backbone")
    shutil.rmtree(folder)
    copied = Encoder(tmp_path / "artifact" / "backbone")
    np.testing.assert_array_equal(copied(images), features)
    content = bytearray((tmp_path / "artifact/backbone/w.data").read_bytes())
    content[0] ^= 1
    (tmp_path / "artifact/backbone/w.data").write_bytes(bytes(content))
    assert backbones.version(str(tmp_path / "artifact" / "backbone"))[-8:] != version[-8:]


def test_only_built_in_backbones_are_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"backbone\.name"):
        backbones.build(str(encoder_folder(tmp_path / "mine")))


def damaged(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])


def outside_weights(folder: Path) -> None:
    model = onnx.load(str(folder / "model.onnx"))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def text_model(folder: Path) -> None:
    text_encoder(folder / "model.onnx")


def infinite(folder: Path) -> None:
    describe(folder, size=40, scale=1e38, mean=[-1e38] * 3, std=[1e-30] * 3)
    picture_encoder(folder / "model.onnx", kind="vector")
    model = onnx.load(str(folder / "model.onnx"))
    for node in model.graph.node:
        if node.op_type == "Tanh":
            node.op_type = "Identity"
    onnx.save(model, str(folder / "model.onnx"))


def no_model(folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "model.safetensors")


def two_models(folder: Path) -> None:
    shutil.copy(folder / "model.onnx", folder / "b.onnx")
    (folder / "model.onnx").rename(folder / "a.onnx")


def written(name: str, content: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(content, encoding="utf-8")

    return write


def described(**keys: Any) -> Callable[[Path], object]:
    return lambda folder: describe(folder, **keys)


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (damaged, WeightsError, r"model\.onnx: not an ONNX model"),
        (written("model.onnx", "no ONNX"), WeightsError, r"model\.onnx: not an ONNX model"),
        (written("model.onnx", ""), WeightsError, r"model\.onnx: not"),
        (outside_weights, WeightsError, r"model\.onnx: its weights are in '\.\./\.\./etc/passwd'"),
        (text_model, WeightsError, r"input_ids.*'file' in .*encoder\.json.*vision_model\.onnx"),
        (infinite, WeightsError, r"infinite"),
        (no_model, WeightsError, r"no ONNX file; export it.*optimum-cli export onnx"),
        (two_models, WeightsError, r"2 ONNX files; name one as 'file' in .*encoder\.json"),
        (written("encoder.json", "{"), ConfigurationError, r"encoder\.json: is not JSON"),
        (written("encoder.json", "[" * 100_000), ConfigurationError, r"encoder\.json: is not JSON"),
        (written("encoder.json", "[]"), ConfigurationError, r"encoder\.json: is not a JSON object"),
        (written("encoder.json", " " * (MAX_JSON_BYTES + 1)), ConfigurationError, r"encoder\.json: has more than"),
        (described(sise=40), ConfigurationError, r"encoder\.json: impossible value for 'sise'"),
        (described(size=0), ConfigurationError, r"encoder\.json: impossible value for 'size"),
        (described(size=10**9), ConfigurationError, r"encoder\.json: impossible value for 'size"),
        (described(std=[0, 1, 1]), ConfigurationError, r"encoder\.json: impossible value for 'std"),
        (described(mean=[1, 1]), ConfigurationError, r"encoder\.json: impossible value for 'mean"),
        (written("encoder.json", '{"scale": NaN}'), ConfigurationError, r"impossible value for 'scale'"),
        (described(file="../model.onnx"), ConfigurationError, r"impossible value for 'file': name a file inside"),
        (described(file="/etc/passwd"), ConfigurationError, r"impossible value for 'file': name a file inside"),
        (described(file="absent.onnx"), WeightsError, r"absent\.onnx: no such file"),
        (described(text={"file": "../t.onnx"}), ConfigurationError, r"impossible value for 'text\.file'"),
        (
            described(size=64),
            WeightsError,
            r"encoder\.json: 'size' is 64 × 64, and the model takes n? ?.*any × 3 × 40 × 40",
        ),
        (described(size=64, crop=48), WeightsError, r"encoder\.json: 'crop' is 48 × 48"),
        (described(layout="NHWC"), WeightsError, r"encoder\.json: 'layout' NHWC does not fit"),
        (described(output="absent"), WeightsError, r"encoder\.json: 'output' is 'absent'; the model has features"),
        (described(pooling="first"), WeightsError, r"encoder\.json: 'pooling' first does not fit the output features"),
        (lambda folder: picture_encoder(folder / "model.onnx", size=4), WeightsError, r"not one vector of 8 to 8,192"),
        (
            lambda folder: (folder / "encoder.json").unlink(),
            ConfigurationError,
            r"neither encoder\.json nor preprocessor_config\.json",
        ),
    ],
)
def test_a_wrong_file_is_an_error_that_names_it_and_the_remedy(
    spoil: Callable[[Path], object], kind: type[RecsysError], message: str, tmp_path: Path
) -> None:
    folder = encoder_folder(tmp_path / "mine")
    spoil(folder)
    with pytest.raises(kind, match=message) as raised:
        backbones.FeatureExtractor(str(folder))
    assert "\n" not in str(raised.value)


def test_an_absent_folder_is_an_unknown_backbone(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"backbone\.name: unknown backbone .*absent"):
        backbones.version(str(tmp_path / "absent"))


def test_texts_and_pictures_of_a_dual_encoder_have_vectors_of_one_length(tmp_path: Path) -> None:
    tower = backbones.load_text_tower(str(dual_encoder(tmp_path / "clip")), 24)
    assert tower is not None and (tower.size, tower.max_length) == (24, 6)
    vectors = tower(["red mug", "blue shirt", "red mug word " * 20])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors.shape == (3, 24) and vectors.dtype == np.float32
    np.testing.assert_array_equal(tower(["red mug"]), vectors[:1])
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01
    np.testing.assert_array_equal(tower(["red mug word " * 2]), vectors[2:])  # cut to six tokens
    assert tower([]).shape == (0, 24)
    assert backbones.load_text_tower(str(encoder_folder(tmp_path / "mine")), 24) is None


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (written("tokenizer.json", "{}"), WeightsError, r"tokenizer\.json: not a tokenizer"),
        (lambda folder: (folder / "tokenizer.json").unlink(), WeightsError, r"tokenizer\.json: no such file"),
        (written("onnx/text_model.onnx", "none"), WeightsError, r"text_model\.onnx: not a model"),
        (lambda folder: text_encoder(folder / "onnx/text_model.onnx", size=16), WeightsError, r"16 numbers.*have 24"),
        (
            lambda folder: picture_encoder(folder / "onnx/text_model.onnx"),
            WeightsError,
            r"takes pixel_values, not input_ids",
        ),
        (
            lambda folder: (folder / "tokenizer_config.json").unlink(),
            ConfigurationError,
            r"encoder\.json: 'text\.max_length' is missing",
        ),
    ],
)
def test_a_wrong_file_of_a_text_tower_is_an_error(
    spoil: Callable[[Path], object], kind: type[RecsysError], message: str, tmp_path: Path
) -> None:
    folder = dual_encoder(tmp_path / "clip")
    spoil(folder)
    with pytest.raises(kind, match=message):
        backbones.load_text_tower(str(folder), 24)


def test_a_text_tower_without_mask(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path / "mine")
    text_encoder(folder / "text.onnx", mask=False)
    tokenizer(folder / "words.json")
    describe(folder, size=40, text={"file": "text.onnx", "tokenizer": "words.json", "max_length": 3})
    tower = backbones.load_text_tower(str(folder), 24)
    assert tower is not None and tower(["red"]).shape == (1, 24)
