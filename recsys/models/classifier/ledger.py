"""Run the stage of the predictions: predict the label of each product once per classifier.

A product of the training set keeps its out-of-fold prediction; any other product is predicted by the final model.
"""

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from recsys.core.configuration import Configuration
from recsys.models import examples
from recsys.models.classifier.label_model import LabelModel, PictureInputs
from recsys.storage.schemas import SCHEMAS
from recsys.storage.shards import Shard, shards
from recsys.storage.store import Store

SHARD_SIZE = 2_048
"""Products per shard: 10 MB of features, or 30 MB of pictures."""


@dataclass(frozen=True)
class PredictionCounts:
    """Numbers of products of one shard, by the evidence of their predictions."""

    both: int
    picture: int
    text: int
    none: int


def missing(store: Store, configuration: Configuration, model_version: str) -> list[Shard]:
    """Return shards of the active products without a prediction by this model from their current name and picture."""
    products = examples.classifier_inputs(store, configuration)
    stored = store.read("predictions", ["product_id", "model_version", "basis"]).to_pandas()
    bases = stored[stored["model_version"] == model_version].set_index("product_id")["basis"].astype("str")
    todo = products[products["product_id"].map(bases) != products["basis"]].sort_values("product_id")
    state = [f"{model_version} {basis}" for basis in todo["basis"]]
    return shards("predictions", todo["product_id"].tolist(), SHARD_SIZE, state=state)


def predict_shard(store: Store, shard: Shard, configuration: Configuration, model: LabelModel) -> PredictionCounts:
    """Predict the labels of a shard's products, and write them in one commit.

    Raises:
        HomeError: the store cannot be written to.
    """
    rows = examples.classifier_inputs(store, configuration, shard.keys)
    has_picture = rows["image_digest"].notna().to_numpy()
    digests = rows.loc[has_picture, "image_digest"].tolist()
    inputs: PictureInputs = []
    if digests and model.head is not None:
        inputs = examples.features_of(store, configuration, digests)
    elif digests and model.network is not None:
        inputs = examples.jpegs_of(store, digests)
    predictions = model.predict(inputs, has_picture, rows["name"].tolist(), rows["brand"].tolist())
    write(store, rows, predictions.assign(fold=pd.array([None] * len(rows), "Int32")), model.version)
    by_evidence = predictions["evidence"].value_counts()
    both, picture, text = (int(by_evidence.get(kind, 0)) for kind in ("both", "picture", "text"))
    return PredictionCounts(both, picture, text, none=len(rows) - both - picture - text)


def write(store: Store, rows: pd.DataFrame, predictions: pd.DataFrame, model_version: str) -> None:
    """Write predictions in one commit.

    Args:
        store: the home's store.
        rows: product_id and basis, see `examples.classifier_inputs`.
        predictions: one row for each of them, see `label_model.prediction_table`, with `fold`.
        model_version: version of the classifier.
    """
    columns = {name: rows[name].tolist() for name in ("product_id", "basis")}
    for name in predictions.columns:
        columns[name] = predictions[name].astype(object).where(predictions[name].notna(), None).tolist()
    columns["model_version"] = [model_version] * len(rows)
    schema = SCHEMAS["predictions"]
    store.write("predictions", pa.table({name: columns[name] for name in schema.names}, schema=schema))
