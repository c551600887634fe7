"""The stage of the predictions on the store: each product judged by the classifier at hand, once.

A product of the training has the prediction of the models that did not see it; any other that of the whole model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.models import examples
from recsys.models.classifier.label_model import LabelModel
from recsys.storage.store import SCHEMAS, Shard, Store, shards

SHARD = 2_048
"""Products: 10 MB of features, or 30 MB of pictures."""


@dataclass(frozen=True)
class PredictionCounts:
    """How many products one shard judged, and by what."""

    both: int
    picture: int
    text: int
    none: int


def missing(store: Store, configuration: Configuration, model_version: str) -> list[Shard]:
    """Return shards of the active products that this model has not judged, or not as they are now."""
    wanted = examples.described(store, configuration)
    stored = store.read("predictions", ["product_id", "model_version", "basis"]).to_pandas()
    known = stored[stored["model_version"] == model_version].set_index("product_id")["basis"].astype("str")
    todo = wanted[wanted["product_id"].map(known) != wanted["basis"]].sort_values("product_id")
    state = [f"{model_version} {basis}" for basis in todo["basis"]]
    return shards("predictions", todo["product_id"].tolist(), SHARD, state=state)


def predict_shard(store: Store, shard: Shard, configuration: Configuration, model: LabelModel) -> PredictionCounts:
    """Judge the products of a shard, in one commit.

    Raises:
        HomeError: the store cannot be written to.
    """
    rows = examples.described(store, configuration, shard.keys)
    pictured = rows["image_digest"].notna().to_numpy()
    digests = rows.loc[pictured, "image_digest"].tolist()
    shown: NDArray[np.float32] | list[bytes] = []
    if digests and model.head is not None:
        shown = examples.features_of(store, configuration, digests)
    elif digests and model.network is not None:
        shown = examples.jpegs_of(store, digests)
    said = model.predict(shown, pictured, rows["name"].tolist(), rows["brand"].tolist())
    write(store, rows, said.assign(fold=pd.array([None] * len(rows), "Int32")), model.version)
    by = [int((said["evidence"] == kind).sum()) for kind in ("both", "picture", "text")]
    return PredictionCounts(by[0], by[1], by[2], none=len(rows) - sum(by))


def write(store: Store, rows: pd.DataFrame, said: pd.DataFrame, model_version: str) -> None:
    """Write predictions in one commit.

    Args:
        rows: product_id and basis, as of `examples.described`.
        said: of each, as of `label_model.told`, with `fold`.
    """
    columns = {name: rows[name].tolist() for name in ("product_id", "basis")}
    columns |= {name: said[name].astype(object).where(said[name].notna(), None).tolist() for name in said.columns}
    columns["model_version"] = [model_version] * len(rows)
    schema = SCHEMAS["predictions"]
    store.write(
        "predictions",
        pa.table([pa.array(columns[name], schema.field(name).type) for name in schema.names], schema=schema),
    )
