"""A selection of products with their recommendations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.models.embedding.serving import Serving
from recsys.reporting.products import read_pictures
from recsys.storage.store import Store, among


@dataclass(frozen=True)
class Scores:
    """The visual, colour and price score of a neighbour, in [0, 1], and their weighted total."""

    visual: float
    colour: float
    price: float
    total: float


@dataclass(frozen=True, eq=False)
class Tile:
    """A product in the grid.

    Attributes:
        picture: (side, side, 3) uint8 RGB, squared.
        price: in the catalogue's currency; None where unknown.
        price_level: 1 to 4 within its label, 2.5 where neutral.
        scores: None for a query.
    """

    product_id: str
    picture: NDArray[np.uint8]
    title: str
    price: float | None
    price_level: float
    label: str | None = None
    scores: Scores | None = None


@dataclass(frozen=True)
class GridRow:
    """A query and its recommendations, best first."""

    query: Tile
    neighbours: tuple[Tile, ...]


def build_grid(store: Store, serves: Serving, shown: pd.DataFrame, configuration: Configuration) -> tuple[GridRow, ...]:
    """Return `report.grids` products with their stored recommendations. Only their images are read.

    Args:
        store: the home's tables.
        serves: the serving embedding.
        shown: see `products.with_features`.
        configuration: the number of rows and of neighbours.
    """
    ranked = store.read(serves.recommendations, ["product_id"], "rank = 1")["product_id"].to_pylist()
    candidates = shown.loc[shown.index.isin(ranked), "label"]
    queries = choose_queries(dict(zip(candidates.index, candidates, strict=True)), configuration.report.grids)
    columns = ["product_id", "rank", "neighbour_id", "visual", "colour", "price", "total"]
    where = f"{among('product_id', queries)} AND rank <= {configuration.recommend.demo_top}"
    rows = store.read(serves.recommendations, columns, where).to_pandas().sort_values(["product_id", "rank"])
    rows = rows[rows["neighbour_id"].isin(shown.index)]
    ids = list(dict.fromkeys([*queries, *rows["neighbour_id"]]))
    pictures = read_pictures(store, ids)
    tiles = {row.pop("product_id"): row for row in shown.loc[ids].reset_index().to_dict("records")}

    neighbours: dict[str, list[Tile]] = {query: [] for query in queries}
    for row in rows.to_dict("records"):
        scores = Scores(*(float(row[name]) for name in ("visual", "colour", "price", "total")))
        key = row["neighbour_id"]
        neighbours[row["product_id"]].append(_tile(key, tiles[key], pictures[key], scores))
    return tuple(GridRow(_tile(key, tiles[key], pictures[key]), tuple(neighbours[key])) for key in queries)


def _tile(
    product_id: str, product: Mapping[Any, Any], picture: NDArray[np.uint8], scores: Scores | None = None
) -> Tile:
    return Tile(
        product_id=product_id,
        picture=picture,
        title=product["name"] or product_id,
        price=None if pd.isna(product["price"]) else float(product["price"]),
        price_level=float(product["price_level"]),
        label=product["label"],
        scores=scores,
    )


def choose_queries(labels: Mapping[str, str | None], count: int) -> list[str]:
    """Return `count` product ids, spread evenly over the labels.

    The choice within a label depends only on the ids, so that each run shows the same products.

    Args:
        labels: the label of each candidate, by product id; None where it has none.
        count: largest number of products.

    Returns:
        Ids grouped by label, the largest label first, the products without a label last.
    """
    groups: dict[str | None, list[str]] = {}
    for product_id, label in labels.items():
        groups.setdefault(label, []).append(product_id)
    sizes = {label: len(members) for label, members in groups.items()}
    ranked = sorted(groups, key=lambda label: (label is None, -sizes[label], label or ""))
    queue = {label: sorted(groups[label], key=lambda key: digest([key]), reverse=True) for label in ranked}
    turns = [None, *ranked[:-1]] if None in groups else ranked  # first, so that it gets a turn among many labels
    chosen: dict[str | None, list[str]] = {label: [] for label in ranked}
    while count > 0 and any(queue.values()):
        for label in turns:
            if count > 0 and queue[label]:
                chosen[label].append(queue[label].pop())
                count -= 1
    return [product_id for label in ranked for product_id in chosen[label]]
