"""A classifier with a network: saving, loading and serving from JPEG bytes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pandas as pd
import pytest

from recsys.models.classifier.calibration import Calibration
from recsys.models.classifier.label_model import LabelModel
from recsys.models.classifier.network import build_classifier
from recsys.models.classifier.served_model import ServedClassifier
from recsys.vision.square import encode
from recsys.vision.trained_network import TrainedNetwork

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture(scope="module")
def model() -> LabelModel:
    """Tells red from green from blue, of pictures of 32 pixels a side."""
    image = keras.Input((32, 32, 3), name="image")
    network = build_classifier(keras.Model(image, keras.layers.AveragePooling2D(32)(image)), len(COLOURS))
    network.layers[-1].set_weights([np.eye(3) / 50, np.zeros(3)])
    return LabelModel("v", tuple(COLOURS), Calibration((1 / 3,) * 3), 0.9, network=TrainedNetwork.of(network))


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    return [encode(np.full((256, 256, 3), colour, np.uint8), 95) for colour in COLOURS.values()] * 4


def test_a_saved_network_predicts_the_same_from_jpeg_bytes_and_has_no_optimizer(
    model: LabelModel, jpegs: list[bytes], tmp_path: Path
) -> None:
    has_picture = np.array([True, False] * len(jpegs))
    nothing = [None] * len(has_picture)
    predictions = model.predict(jpegs, has_picture, nothing, nothing)
    assert predictions["label"].tolist()[::2] == list(COLOURS) * 4 and predictions["label"][1::2].isna().all()
    assert predictions["evidence"].tolist() == ["picture", None] * len(jpegs)
    model.save(tmp_path)
    loaded = LabelModel.load(tmp_path)
    pd.testing.assert_frame_equal(loaded.predict(jpegs, has_picture, nothing, nothing), predictions)
    assert (loaded.version, loaded.threshold) == ("v", 0.9)
    with (
        zipfile.ZipFile(tmp_path / "network.keras") as kept,
        h5py.File(io.BytesIO(kept.read("model.weights.h5"))) as h5,
    ):
        assert "layers" in h5 and "optimizer" not in h5


def test_mlflow_serves_the_network_from_jpeg_bytes(model: LabelModel, jpegs: list[bytes]) -> None:
    served = ServedClassifier()
    served.model = model
    example = pd.DataFrame({"name": [None] * 4, "brand": [None] * 4, "picture": [jpegs[2], b"", None, jpegs[0]]})
    predictions = served.predict(None, example)
    assert predictions["label"].fillna("").tolist() == ["blue", "", "", "red"]
    assert list(predictions.columns) == ["label", "confidence", "runner_up", "runner_up_confidence"]
