"""Build small encoders with random weights: ONNX files, their descriptions, a tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDE = 8
WORDS = ("<pad>", "<unk>", "word", "red", "blue", "mug", "shirt")


def picture_encoder(
    file: Path,
    *,
    size: int = 24,
    shape: tuple[Any, ...] = ("n", 3, 40, 40),
    output: str = "features",
    kind: str = "map",
    dtype: int = TensorProto.FLOAT,
    seed: int = 0,
) -> None:
    """Write an encoder with one convolution: a feature map, the tokens of it, or the average vector."""
    random = np.random.default_rng(seed)
    kernel = random.standard_normal((size, 3, STRIDE, STRIDE)).astype(np.float32)
    weights = [numpy_helper.from_array(kernel, "kernel")]
    nodes = [helper.make_node("Cast", ["pixel_values"], ["cast"], to=TensorProto.FLOAT)]
    picture = "cast"
    if shape[-1] == 3:
        nodes.append(helper.make_node("Transpose", ["cast"], ["transposed"], perm=[0, 3, 1, 2]))
        picture = "transposed"
    nodes.append(helper.make_node("Conv", [picture, "kernel"], ["map"], strides=[STRIDE, STRIDE]))
    nodes.append(helper.make_node("Tanh", ["map"], ["bounded"]))
    result, result_shape = "bounded", ["n", size, "h", "w"]
    if kind == "tokens":
        weights.append(numpy_helper.from_array(np.array([0, size, -1], np.int64), "flat"))
        nodes.append(helper.make_node("Reshape", ["bounded", "flat"], ["flattened"]))
        nodes.append(helper.make_node("Transpose", ["flattened"], ["tokens"], perm=[0, 2, 1]))
        result, result_shape = "tokens", ["n", "t", size]
    elif kind == "vector":
        weights.append(numpy_helper.from_array(np.array([2, 3], np.int64), "axes"))
        nodes.append(helper.make_node("ReduceMean", ["bounded", "axes"], ["vector"], keepdims=0))
        result, result_shape = "vector", ["n", size]
    elif shape[-1] == 3:
        nodes.append(helper.make_node("Transpose", ["bounded"], ["last"], perm=[0, 2, 3, 1]))
        result, result_shape = "last", ["n", "h", "w", size]
    nodes.append(helper.make_node("Identity", [result], [output]))
    inputs = [helper.make_tensor_value_info("pixel_values", dtype, shape)]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, result_shape)]
    _save(file, nodes, inputs, outputs, weights)


def text_encoder(
    file: Path, *, size: int = 24, mask: bool = True, seed: int = 1, known: Mapping[str, np.ndarray] | None = None
) -> None:
    """Write an encoder of texts: the average of a vector of each token, random or, if any is known, else zeros."""
    table = np.random.default_rng(seed).standard_normal((len(WORDS), size)).astype(np.float32)
    if known is not None:
        table = np.stack([known.get(word, np.zeros(size)) for word in WORDS]).astype(np.float32)
    weights = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1], np.int64), "axes")]
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "length"])]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["vectors"])]
    tokens = "vectors"
    if mask:
        inputs.append(helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["n", "length"]))
        weights.append(numpy_helper.from_array(np.array([2], np.int64), "last"))
        nodes.append(helper.make_node("Cast", ["attention_mask"], ["counted"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Unsqueeze", ["counted", "last"], ["column"]))
        nodes.append(helper.make_node("Mul", ["vectors", "column"], ["masked"]))
        tokens = "masked"
    nodes.append(helper.make_node("ReduceMean", [tokens, "axes"], ["text_embeds"], keepdims=0))
    outputs = [helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["n", size])]
    _save(file, nodes, inputs, outputs, weights)


def tokenizer(file: Path) -> None:
    """Write a tokenizer of a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(file))


def describe(folder: Path, **keys: Any) -> Path:
    """Write `encoder.json`, and return the folder."""
    (folder / "encoder.json").write_text(json.dumps(keys), encoding="utf-8")
    return folder


def encoder_folder(folder: Path, *, seed: int = 0) -> Path:
    """Write an encoder of pictures of 40 pixels with 24 features, cropped and normalised."""
    folder.mkdir(parents=True)
    picture_encoder(folder / "model.onnx", seed=seed)
    return describe(folder, size=48, crop=40, mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.4])


def dual_encoder(folder: Path) -> Path:
    """Write a dual encoder as Hugging Face's exports have it: vision and text model, preprocessor, tokenizer."""
    (folder / "onnx").mkdir(parents=True)
    picture_encoder(folder / "onnx" / "vision_model.onnx", kind="vector", output="image_embeds")
    text_encoder(folder / "onnx" / "text_model.onnx")
    tokenizer(folder / "tokenizer.json")
    preprocessor = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 40}, "resample": 3}
    preprocessor |= {"do_center_crop": True, "crop_size": {"height": 40, "width": 40}, "do_convert_rgb": True}
    preprocessor |= {"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor), encoding="utf-8")
    configured = {"model_max_length": 6, "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(configured), encoding="utf-8")
    return folder


def _save(file: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: list[Any]) -> None:
    graph = helper.make_graph(nodes, "encoder", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))


def hub_preset(folder: Path, kind: str = "resnet") -> Path:
    """Write a preset of keras-hub for pictures of 40 pixels: a ResNet, a vision transformer, or a dual encoder."""
    import keras
    import keras_hub

    keras.utils.set_random_seed(0)
    image, models, layers = (40, 40, 3), keras_hub.models, keras_hub.layers
    scale, offset = [1 / 50, 1 / 60, 1 / 70], [-2.0, -1.5, -1.0]
    if kind == "resnet":
        backbone = models.ResNetBackbone(
            [64], [3], [64, 24], [1, 1], [1, 2], block_type="basic_block", image_shape=(None, None, 3)
        )
        converter = layers.ResNetImageConverter(image_size=image[:2], scale=scale, offset=offset)
    elif kind == "vit":
        backbone = models.ViTBackbone(image, 8, num_layers=1, num_heads=2, hidden_dim=24, mlp_dim=16)
        converter = layers.ViTImageConverter(image_size=image[:2], scale=scale, offset=offset)
    else:
        vision = models.CLIPVisionEncoder(8, 24, 1, 2, 16, image_shape=image)
        text = models.CLIPTextEncoder(20, 24, 24, 1, 2, 16, max_sequence_length=8)
        backbone = models.CLIPBackbone(vision, text, 24)
        converter = layers.CLIPImageConverter(image_size=image[:2], scale=scale, offset=offset)
    backbone.save_to_preset(str(folder))
    converter.save_to_preset(str(folder))
    return folder
