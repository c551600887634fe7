"""The recommendations stage, and the answers to single questions: the recommender's rule over what the store holds."""

from __future__ import annotations

import difflib
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.errors import NoImagesError, UnknownProductError
from recsys.models.embedding.serving import Model, Serving, describe, serving
from recsys.ranking import Gallery, Queries, Recommendations, explain, recommend
from recsys.ranking import ann_index as index
from recsys.ranking.shop import bases, load_shop
from recsys.storage.store import SCHEMAS, Shard, Store, among, literal, shards
from recsys.vision.square import read_photo


@dataclass(frozen=True)
class RecommendationCounts:
    """What one shard did."""

    products: int
    rows: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.rows} recommendations for {self.products} products in {self.seconds:.1f} s"


def missing(store: Store, configuration: Configuration, model: Model | None) -> list[Shard]:
    """Return shards of the products whose ranking by a model is absent or rests on something that changed.

    Products that have a ranking but no longer a picture or a place in the catalogue are among them: ranking them
    anew drops it.

    Args:
        store: the store.
        configuration: the rule, and all that it looks at.
        model: whose embeddings are ranked by; None is the raw backbone. Each has a table of its own.
    """
    serves = Serving.of(model, configuration)
    now = bases(store, configuration, serves).to_dict()
    ranked = store.read(serves.recommendations, ["product_id", "basis"], "rank = 1")
    had = dict(zip(ranked["product_id"].to_pylist(), ranked["basis"].to_pylist(), strict=True))
    wanted = now if len(now) > 1 else {}
    changed = (key for key in wanted if had.get(key) != now[key])
    # a label's products have one basis: side by side, so that a shard gathers the embeddings of few labels
    keys = sorted(changed, key=lambda key: now[key]) + sorted(set(had) - set(wanted))
    # with the commits so far, since a catalogue that changes back asks for the same ranking once more
    commits = store.version(serves.recommendations)
    state = [f"{now.get(key)} {commits}" for key in keys]
    return shards("recommendations", keys, configuration.recommend.shard_size, state=state)


def recommend_shard(
    store: Store, shard: Shard, configuration: Configuration, model: Model | None
) -> RecommendationCounts:
    """Rank and commit the recommendations of a shard's products: `Recommend.stored` each, by the configured rule."""
    started = time.monotonic()
    serves = Serving.of(model, configuration)
    _, gallery = load_shop(store, configuration, serves)
    wanted = set(shard.keys)
    rows = np.flatnonzero([key in wanted for key in gallery.product_ids])
    rule = configuration.recommend
    answer = recommend(Queries.of(gallery, rows), gallery, rule, top=rule.stored)
    rests_on = bases(store, configuration, serves).reindex(gallery.product_ids[rows]).to_numpy(dtype=object)
    table = _table(gallery, rows, answer, rests_on)
    of_shard = among("product_id", shard.keys)
    first = store.count(serves.recommendations, of_shard) == 0
    store.write(serves.recommendations, table, replace=of_shard, new=first)
    return RecommendationCounts(len(rows), table.num_rows, time.monotonic() - started)


def fill(store: Store, configuration: Configuration, model: Model | None) -> int:
    """Do all shards that are missing for a model in this process, and return how many products they had."""
    work = missing(store, configuration, model)
    return sum(recommend_shard(store, shard, configuration, model).products for shard in work)


def _table(
    gallery: Gallery, rows: NDArray[np.int64], answer: Recommendations, rests_on: NDArray[np.object_]
) -> pa.Table:
    """Return the recommendations of the gallery's products at `rows` as rows of the store's table."""
    query, rank = np.nonzero(answer.neighbours >= 0)
    return pa.table(
        {
            "product_id": pa.array(gallery.product_ids[rows[query]], pa.string()),
            "rank": pa.array(rank + 1, pa.int32()),
            "neighbour_id": pa.array(gallery.product_ids[answer.neighbours[query, rank]], pa.string()),
            **{name: getattr(answer, name)[query, rank] for name in ("visual", "colour", "price", "total")},
            "basis": pa.array(rests_on[query], pa.string()),
        },
        schema=SCHEMAS["recommendations"],
    )


@dataclass(frozen=True)
class Answer:
    """What one question got: the query (id None for a photo) and its recommendations, best first.

    `items` columns: rank, product_id, name, brand, label, price, in_stock, price_level, visual, colour, price_score,
    total, why.
    """

    product_id: str | None
    name: str
    label: str | None
    price: float | None
    price_level: float
    items: pd.DataFrame

    def to_json(self) -> str:
        """Return the answer as a JSON object, unknown values as null."""
        query = {name: getattr(self, name) for name in ("product_id", "name", "label", "price", "price_level")}
        items = json.loads(self.items.to_json(orient="records", double_precision=6))
        return json.dumps({"query": query, "recommendations": items}, ensure_ascii=False)


def recommend_product(store: Store, configuration: Configuration, product_id: str) -> Answer:
    """Return the recommendations for a product of the catalogue, by the configured rule.

    Raises:
        UnknownProductError: the catalogue does not list it, or it has no picture to be compared by.
    """
    frame, gallery = _shop(store, configuration)
    rows = np.flatnonzero(frame["product_id"] == product_id)
    if not len(rows):
        raise unknown(store, product_id, frame)
    query = Queries.of(gallery, rows)
    product = frame.iloc[rows[0]]
    return Answer(
        product_id=product_id,
        name=str(product["name"]),
        label=query.labels[0],
        price=None if pd.isna(product["price"]) else float(product["price"]),
        price_level=float(query.price_levels[0]),
        items=_items(frame, gallery, query, configuration),
    )


def recommend_photo(store: Store, configuration: Configuration, photo: Path) -> Answer:
    """Return the recommendations for a new photo, from the whole shop and at a neutral price level.

    Raises:
        PhotoError: the file is missing, not an image, or breaks a safety limit.
        WeightsError: the backbone's weights cannot be had.
    """
    return recommend_image(store, configuration, read_photo(photo, configuration.images), photo.name)


def recommend_image(store: Store, configuration: Configuration, image: NDArray[np.uint8], name: str) -> Answer:
    """Return the recommendations for a squared photo (side, side, 3) RGB, as `recommend_photo`; `name` is its own.

    Raises:
        WeightsError: the backbone's weights cannot be had.
        TrainingError: the files of the model that serves are missing or damaged.
    """
    serves = serving(store.home, configuration)
    frame, gallery = _shop(store, configuration, serves)
    embeddings, histograms = describe(image[None], str(store.home), serves, configuration)
    neutral = configuration.price.neutral_level
    query = Queries(
        version=serves.version,
        rows=np.array([-1]),
        labels=np.array([None], dtype=object),
        price_levels=np.array([neutral]),
        embeddings=embeddings,
        histograms=histograms,
    )
    items = _items(frame, gallery, query, configuration, index.load(store, configuration, serves, frame, gallery))
    return Answer(None, name, None, None, neutral, items)


def _shop(store: Store, configuration: Configuration, serves: Serving | None = None) -> tuple[pd.DataFrame, Gallery]:
    frame, gallery = load_shop(store, configuration, serves)
    if not len(gallery):
        raise NoImagesError(
            f"home {store.home} has no product with features of the configured backbone yet; "
            "run 'recsys run --catalogue FILE' to the end, then ask again"
        )
    return frame, gallery


def _items(
    frame: pd.DataFrame,
    gallery: Gallery,
    query: Queries,
    configuration: Configuration,
    shortlist: index.Index | None = None,
) -> pd.DataFrame:
    """Return a single query's recommendations with what people want to see of each."""
    answer = recommend(query, gallery, configuration.recommend, shortlist=shortlist)
    found = answer.neighbours[0] >= 0
    rows = answer.neighbours[0][found]
    items = frame.iloc[rows][["product_id", "name", "brand", "label", "price", "in_stock"]].reset_index(drop=True)
    items.insert(0, "rank", np.arange(1, len(rows) + 1))
    return items.assign(
        price_level=gallery.price_levels[rows],
        visual=answer.visual[0][found],
        colour=answer.colour[0][found],
        price_score=answer.price[0][found],
        total=answer.total[0][found],
        why=explain(answer, query, gallery)[0][found],
    )


def unknown(store: Store, product_id: str, frame: pd.DataFrame) -> UnknownProductError:
    """Return the error that says why there is nothing to compare a product by."""
    rows = store.read("products", ["name", "removed"], f"product_id = {literal(product_id)}").to_pylist()
    if not rows:
        close = difflib.get_close_matches(product_id, frame["product_id"].tolist()[:5_000], n=1, cutoff=0.8)
        hint = f"did you mean {close[0]}?" if close else "'recsys export' lists every id"
        return UnknownProductError(f"product '{product_id[:80]}' is not in the catalogue; {hint}")
    if rows[0]["removed"] is not None:
        return UnknownProductError(f"product '{product_id}' was removed from the catalogue on {rows[0]['removed']:%F}")
    ledger = store.read("images", ["status", "cause", "url"], f"product_id = {literal(product_id)}").to_pylist()
    if ledger and ledger[0]["status"] != "ok":
        return UnknownProductError(
            f"product '{product_id}' has no picture ({ledger[0]['status']}: {ledger[0]['cause']}, {ledger[0]['url']}); "
            "mend its image URL in the catalogue and run again"
        )
    return UnknownProductError(
        f"product '{product_id}' has no features yet; run 'recsys run' to the end, then ask again"
    )
