"""What the report says, gathered from the store; how it looks is `page.py` and the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.configuration import Configuration
from recsys.funnel import Funnel, funnel
from recsys.images.addresses import without_credentials
from recsys.images.causes import Cause, explain
from recsys.images.ledger import broken_by_cause, broken_by_host, count_images
from recsys.price import price_levels, price_quantiles
from recsys.report.pictures import SEED, GridRow, Scores, Tile, tsne_points
from recsys.store import Store, among, digest

HOSTS = 20
"""With broken links, that the page names; the CSV beside it has all."""


@dataclass(frozen=True)
class BrokenLinks:
    """The images that are broken for one cause (the ledger's word), with the address of one of them."""

    word: str
    count: int
    example: str
    cause: Cause


@dataclass(frozen=True)
class BrokenHost:
    """The images that are broken at one host (empty: no URL), with their causes in words."""

    host: str
    count: int
    causes: str


@dataclass(frozen=True)
class LabelSummary:
    """One label; None stands for the products without.

    Attributes:
        quantiles: the prices up to which its products have price level 1, 2 and 3; None where all are neutral.
    """

    label: str | None
    products: int
    with_image: int
    quantiles: tuple[float, float, float] | None


@dataclass(frozen=True)
class Retrieval:
    """How well like is found with like at one level of the category path: (k, precision, recall) a rank."""

    level: int
    queries: int
    figures: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True, eq=False)
class ReportData:
    """All that the page shows.

    Attributes:
        source: the catalogue's file or URL, as it was read.
        links: what to show: a web address or a command.
        broken_hosts: those with the most broken links, first.
        rescued: products that have a photo by another of their URLs than the first.
        labels: the largest first, the products without a label last.
        tsne_points: (n, 2), a sample of at most `tsne.sample` products with features.
        tsne_labels: n labels of the points.
    """

    made_at: datetime
    source: str
    catalogue_digest: str
    model_version: str
    configuration: Configuration
    links: Mapping[str, str]
    funnel: Funnel
    broken: tuple[BrokenLinks, ...] = ()
    broken_hosts: tuple[BrokenHost, ...] = ()
    rescued: int = 0
    labels: tuple[LabelSummary, ...] = ()
    retrieval: tuple[Retrieval, ...] = ()
    grids: tuple[GridRow, ...] = ()
    tsne_points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    tsne_labels: tuple[str | None, ...] = ()

    @property
    def currency(self) -> str:
        """What stands before a price."""
        return self.configuration.catalogue.currency


def gather(
    store: Store,
    configuration: Configuration,
    model_version: str,
    evaluation: pd.DataFrame | None = None,
    links: Mapping[str, str] | None = None,
) -> ReportData:
    """Return what the report says of the store's present state.

    Of pictures only those shown are read, so that the time hardly grows with the catalogue; t-SNE takes the most.

    Args:
        store: the home's tables.
        configuration: grids, t-SNE, price levels, currency.
        model_version: whose features are drawn: the table `features-<model version>`.
        evaluation: figures of `evaluation.retrieval`, where they were taken.
        links: shown in the header by name: web addresses, or commands where a server may not be up.
    """
    table = f"features-{model_version}"
    products = _products(store)
    shown = products[products["status"] == "ok"]
    if store.exists(table):
        known = store.read(table, ["image_digest"])["image_digest"].to_pylist()
        shown = shown[shown["image_digest"].isin(known)]
    levels = pd.Series(price_levels(shown["price"], shown["label"], configuration.price), index=shown.index)
    shown = shown.assign(price_level=levels)
    points, point_labels = _map(store, table, shown, configuration)
    source, catalogue_digest = _catalogue(store)
    return ReportData(
        made_at=datetime.now(UTC),
        source=source,
        catalogue_digest=catalogue_digest,
        model_version=model_version,
        configuration=configuration,
        links=dict(links or {}),
        funnel=funnel(store),
        broken=_broken(store),
        broken_hosts=_broken_hosts(store),
        rescued=count_images(store).rescued,
        labels=_labels(products, shown, configuration),
        retrieval=_retrieval(evaluation),
        grids=_grids(store, shown, configuration),
        tsne_points=points,
        tsne_labels=point_labels,
    )


def _products(store: Store) -> pd.DataFrame:
    """Return the active products by id, in catalogue order, with label, status, cause, url and image digest."""
    products = store.read("products", ["product_id", "position", "name", "price"], "removed IS NULL").to_pandas()
    images = store.read("images", ["product_id", "status", "cause", "url", "image_digest"]).to_pandas()
    labels = store.read("labels", ["product_id", "label"]).to_pandas()
    frame = products.merge(images, on="product_id", how="left").merge(labels, on="product_id", how="left")
    for column in ("name", "label", "status", "cause", "url", "image_digest"):
        frame[column] = frame[column].astype(object).where(frame[column].notna(), None)
    return frame.sort_values("position", kind="stable").set_index("product_id")


def _catalogue(store: Store) -> tuple[str, str]:
    """Return source and digest of the catalogue that was read last, empty where none was."""
    readings = store.read("catalogues", ["source", "catalogue_digest", "read_at"]).sort_by("read_at").to_pylist()
    return (
        (without_credentials(readings[-1]["source"] or ""), readings[-1]["catalogue_digest"]) if readings else ("", "")
    )


def _broken(store: Store) -> tuple[BrokenLinks, ...]:
    found = broken_by_cause(store)[["cause", "products", "example_url"]].to_numpy()
    return tuple(BrokenLinks(str(word), int(count), str(url), explain(str(word))) for word, count, url in found)


def _broken_hosts(store: Store) -> tuple[BrokenHost, ...]:
    found = broken_by_host(store)[["host", "products", "causes"]].head(HOSTS).to_numpy()
    return tuple(BrokenHost(str(host), int(count), str(causes)) for host, count, causes in found)


def _labels(products: pd.DataFrame, shown: pd.DataFrame, configuration: Configuration) -> tuple[LabelSummary, ...]:
    def summary(label: str | None) -> LabelSummary:
        def of(frame: pd.DataFrame) -> pd.DataFrame:
            return frame[frame["label"].isna() if label is None else frame["label"] == label]

        members = of(products)
        quantiles = price_quantiles(of(shown)["price"].to_numpy(dtype=np.float64), configuration.price)
        neutral = np.isnan(quantiles).any() or quantiles[0] == quantiles[2]
        return LabelSummary(
            label=label,
            products=len(members),
            with_image=int((members["status"] == "ok").sum()),
            quantiles=None if neutral else (float(quantiles[0]), float(quantiles[1]), float(quantiles[2])),
        )

    present = [summary(label) for label in products["label"].dropna().unique()]
    present.sort(key=lambda item: (-item.products, item.label or ""))
    return (*present, summary(None)) if products["label"].isna().any() else tuple(present)


def _retrieval(evaluation: pd.DataFrame | None) -> tuple[Retrieval, ...]:
    if evaluation is None:
        return ()
    return tuple(
        Retrieval(
            level=int(rows["level"].iloc[0]),
            queries=int(rows["queries"].iloc[0]),
            figures=tuple((int(k), float(p), float(r)) for k, p, r in rows[["k", "precision", "recall"]].to_numpy()),
        )
        for _, rows in evaluation.sort_values(["level", "k"]).groupby("level")
    )


def _map(
    store: Store, table: str, shown: pd.DataFrame, configuration: Configuration
) -> tuple[NDArray[np.float64], tuple[str | None, ...]]:
    """Return the t-SNE points (n, 2) of a sample of the products with features, and their labels."""
    distinct = shown.drop_duplicates("image_digest")
    if not len(distinct) or not store.exists(table):
        return np.zeros((0, 2)), ()
    size = min(configuration.tsne.sample, len(distinct))
    rows = np.sort(np.random.default_rng(SEED).choice(len(distinct), size, replace=False))
    sample = distinct.iloc[rows]
    found = store.read(table, ["image_digest", "embedding"], among("image_digest", sample["image_digest"]))
    embeddings = found["embedding"].combine_chunks().flatten().to_numpy().reshape(len(found), -1)  # (n, d)
    row_of = {key: row for row, key in enumerate(found["image_digest"].to_pylist())}
    order = [row_of[key] for key in sample["image_digest"]]
    return tsne_points(embeddings[order], configuration), tuple(sample["label"])


def choose_queries(labels: Mapping[str, str | None], count: int) -> list[str]:
    """Return `count` product ids spread over the labels: one of each in turn, the products without a label too.

    Which product of a label is shown hangs on its id alone, so that the same ones are seen from run to run.

    Args:
        labels: of each product that may be shown, by id; None where it has none.
        count: how many to choose at most.

    Returns:
        Ids grouped by label, the largest label first, the products without a label last.
    """
    groups: dict[str | None, list[str]] = {}
    for product_id, label in labels.items():
        groups.setdefault(label, []).append(product_id)
    sizes = {label: len(members) for label, members in groups.items()}
    ranked = sorted(groups, key=lambda label: (label is None, -sizes[label], label or ""))
    queue = {label: sorted(groups[label], key=lambda key: digest([key]), reverse=True) for label in ranked}
    turns = [None, *ranked[:-1]] if None in groups else ranked  # first, lest it get no turn among many labels
    chosen: dict[str | None, list[str]] = {label: [] for label in ranked}
    while count > 0 and any(queue.values()):
        for label in turns:
            if count > 0 and queue[label]:
                chosen[label].append(queue[label].pop())
                count -= 1
    return [product_id for label in ranked for product_id in chosen[label]]


def _grids(store: Store, shown: pd.DataFrame, configuration: Configuration) -> tuple[GridRow, ...]:
    """Return the chosen queries with their recommendations; only their pictures are read."""
    ranked = store.read("recommendations", ["product_id"], "rank = 1")["product_id"].to_pylist()
    candidates = shown.loc[shown.index.isin(ranked), "label"]
    queries = choose_queries(dict(zip(candidates.index, candidates, strict=True)), configuration.report.grids)
    columns = ["product_id", "rank", "neighbour_id", "visual", "colour", "price", "total"]
    where = f"{among('product_id', queries)} AND rank <= {configuration.recommend.demo_top}"
    rows = store.read("recommendations", columns, where).to_pandas().sort_values(["product_id", "rank"])
    rows = rows[rows["neighbour_id"].isin(shown.index)]
    ids = list(dict.fromkeys([*queries, *rows["neighbour_id"]]))
    pictures = _pictures(store, ids)
    products: dict[Any, Any] = shown.loc[ids].to_dict("index")

    def tile(product_id: str, scores: Scores | None = None) -> Tile:
        product = products[product_id]
        return Tile(
            product_id=product_id,
            picture=pictures[product_id],
            title=product["name"] or product_id,
            price=None if pd.isna(product["price"]) else float(product["price"]),
            price_level=float(product["price_level"]),
            label=product["label"],
            scores=scores,
        )

    neighbours: dict[str, list[Tile]] = {query: [] for query in queries}
    for row in rows.to_dict("records"):
        scores = Scores(*(float(row[name]) for name in ("visual", "colour", "price", "total")))
        neighbours[row["product_id"]].append(tile(row["neighbour_id"], scores))
    return tuple(GridRow(tile(query), tuple(neighbours[query])) for query in queries)


def _pictures(store: Store, product_ids: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    """Return the squared RGB pictures (side, side, 3) of these products."""
    rows = store.read("images", ["product_id", "jpeg"], among("product_id", product_ids))
    return {
        product_id: np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), dtype=np.uint8)
        for product_id, jpeg in zip(rows["product_id"].to_pylist(), rows["jpeg"].to_pylist(), strict=True)
    }
