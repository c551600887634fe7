"""What the report says, gathered from the store; how it looks is `page.py` and the template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.errors import ConfigurationError
from recsys.evaluation.colour_agreement import ColourAgreement, measure_colour_agreement
from recsys.evaluation.tsne import SEED, tsne_points
from recsys.evaluation.weight_selection import WeightTradeOff, measure_trade_off
from recsys.ingest.addresses import without_credentials
from recsys.ingest.causes import Cause, explain
from recsys.ingest.images.ledger import broken_by_cause, broken_by_host, count_images
from recsys.models.classifier.recipe import load_recipe
from recsys.models.classifier.registry import Classifier, current_classifier
from recsys.models.embedding.serving import Model, Serving, folder, serving
from recsys.models.examples import TRUSTED
from recsys.models.labels.balance import plan_growth
from recsys.models.labels.ledger import class_sources, predicted_labels
from recsys.models.labels.review import review_list
from recsys.models.labels.suspicious import suspicious_labels
from recsys.ranking.price_levels import price_levels, price_quantiles
from recsys.reporting.funnel import Funnel, funnel
from recsys.reporting.pictures import GridRow, Scores, Tile
from recsys.storage.store import Store, among, digest

HOSTS = 20
"""With broken links, that the page names; the CSV beside it has all."""

GUESSES = 24
"""Shown with their pictures, of the filled labels and of the suspicious ones; a few rows on a desktop."""


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
        merged: products whose label the merge table made; the rest beside these three have the catalogue's own.
        predicted: products whose label is the classifier's guess.
        reviewed: products whose label a person gave.
    """

    label: str | None
    products: int
    with_image: int
    quantiles: tuple[float, float, float] | None
    merged: int = 0
    predicted: int = 0
    reviewed: int = 0


@dataclass(frozen=True)
class ClassGrowth:
    """One class of a training set before and after it is balanced, in pictures, as of `balance.plan_growth`."""

    label: str
    catalogue: int
    kept: int
    scraped: int
    augmented: int
    total: int


@dataclass(frozen=True)
class ClassBalance:
    """The classes of a training set before and after, the largest first, and what the configured recipe makes of it.

    Attributes:
        trained_on: `all` of the catalogue's pictures as they are, those `kept`, or the `total` with the added ones.
    """

    classes: tuple[ClassGrowth, ...]
    trained_on: Literal["all", "kept", "total"]


@dataclass(frozen=True, eq=False)
class Guess:
    """A product with the label that the classifier guesses for it.

    Attributes:
        picture: (side, side, 3) uint8 RGB, squared; None where there is none.
        given: what the catalogue says: in place of a category, or the label that is contradicted.
        label: the guess.
        confidence: of the guess, in [0, 1].
        evidence: picture, text or both; empty where it is not told.
    """

    product_id: str
    title: str
    picture: NDArray[np.uint8] | None
    given: str | None
    label: str
    confidence: float
    evidence: str = ""


@dataclass(frozen=True)
class Guesses:
    """How many there are, and those that are shown."""

    count: int = 0
    shown: tuple[Guess, ...] = ()


@dataclass(frozen=True)
class Gain:
    """One figure that the gate decided by: of what served before, and of the embedding that serves.

    Attributes:
        level: of the category path; 0 is another photo of the same product.
        low, high: ends of the 95 % interval of the difference.
    """

    level: int
    queries: int
    before: float
    after: float
    low: float
    high: float


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
        embedding: None where the raw backbone serves.
        gains: what the gate let it pass by; none where it never judged it.
        broken_hosts: those with the most broken links, first.
        rescued: products that have a photo by another of their URLs than the first.
        labels: the largest first, the products without a label last.
        balance: None where no product with a photo has a given label.
        classifier: None where none has been trained.
        filled: labels that are guesses, the least sure first.
        guessed: of each product whose label is a guess, its confidence.
        suspicious: given labels that the classifier contradicts, its surest contradictions first.
        to_review: products without a label that nobody has answered for.
        colours: None where too few products can be judged.
        weights: None where too few products are held out.
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
    embedding: Model | None = None
    gains: tuple[Gain, ...] = ()
    broken: tuple[BrokenLinks, ...] = ()
    broken_hosts: tuple[BrokenHost, ...] = ()
    rescued: int = 0
    labels: tuple[LabelSummary, ...] = ()
    balance: ClassBalance | None = None
    classifier: Classifier | None = None
    filled: Guesses = field(default_factory=Guesses)
    guessed: Mapping[str, float] = field(default_factory=dict)
    suspicious: Guesses = field(default_factory=Guesses)
    to_review: int = 0
    retrieval: tuple[Retrieval, ...] = ()
    colours: ColourAgreement | None = None
    weights: WeightTradeOff | None = None
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
    evaluation: pd.DataFrame | None = None,
    links: Mapping[str, str] | None = None,
) -> ReportData:
    """Return what the report says of the store's present state.

    Of pictures only those shown, and a sample for the colours, are read, so that the time hardly grows with the
    catalogue; t-SNE takes the most.

    Args:
        store: the home's tables.
        configuration: grids, t-SNE, price levels, currency, balance, suspicious labels.
        evaluation: figures of `recsys.evaluation.leave_one_out`, where they were taken.
        links: shown in the header by name: web addresses, or commands where a server may not be up.
    """
    serves = serving(store.home, configuration)
    products = _products(store)
    shown = products[products["status"] == "ok"]
    if store.exists(serves.embeddings):
        known = store.read(serves.embeddings, ["image_digest"])["image_digest"].to_pylist()
        shown = shown[shown["image_digest"].isin(known)]
    levels = pd.Series(price_levels(shown["price"], shown["label"], configuration.price), index=shown.index)
    shown = shown.assign(price_level=levels)
    points, point_labels = _map(store, serves.embeddings, shown, configuration)
    source, catalogue_digest = _catalogue(store)
    model, guessed = current_classifier(store.home), predicted_labels(store)
    return ReportData(
        made_at=datetime.now(UTC),
        source=source,
        catalogue_digest=catalogue_digest,
        model_version=serves.version,
        configuration=configuration,
        links=dict(links or {}),
        funnel=funnel(store, configuration),
        embedding=serves.model,
        gains=_gains(store, serves),
        broken=_broken(store),
        broken_hosts=_broken_hosts(store),
        rescued=count_images(store).rescued,
        labels=_labels(products, shown, class_sources(store), configuration),
        balance=_balance(store, products, configuration),
        classifier=model,
        filled=_guesses(store, guessed[::-1].rename(columns={"top_level": "given"}).assign(evidence="")),
        guessed=dict(zip(guessed["product_id"], guessed["confidence"].astype(float), strict=True)),
        suspicious=_suspicious(store, model, configuration),
        to_review=len(review_list(store)),
        retrieval=_retrieval(evaluation),
        colours=measure_colour_agreement(store, configuration),
        weights=measure_trade_off(store, configuration),
        grids=_grids(store, serves, shown, configuration),
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


def _labels(
    products: pd.DataFrame, shown: pd.DataFrame, sources: pd.DataFrame, configuration: Configuration
) -> tuple[LabelSummary, ...]:
    ways: dict[Any, Any] = sources.set_index("label")[["merged", "predicted", "reviewed"]].to_dict("index")

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
            **ways.get(label, {}),
        )

    present = [summary(label) for label in products["label"].dropna().unique()]
    present.sort(key=lambda item: (-item.products, item.label or ""))
    return (*present, summary(None)) if products["label"].isna().any() else tuple(present)


def _balance(store: Store, products: pd.DataFrame, configuration: Configuration) -> ClassBalance | None:
    """Return what balancing makes of the labels that are given, as the training does; guessed ones teach nothing."""
    given = store.read("labels", ["product_id"], TRUSTED)["product_id"].to_pylist()
    pictured = products[(products["status"] == "ok") & products.index.isin(given)]
    if pictured.empty:
        return None
    scraped = Counter(store.read("scraped", ["label"])["label"].to_pylist())
    sizes = Counter(pictured["label"].tolist())
    recipe = load_recipe(configuration.classifier.recipe)
    try:
        plan = plan_growth(sizes, scraped, configuration, recipe.materialised_images)
    except ConfigurationError:  # the recipe asks for fewer pictures than there are: its training says so, not the page
        plan = plan_growth(sizes, scraped, configuration)
    grows = recipe.augmentation == "materialised"
    return ClassBalance(
        classes=tuple(ClassGrowth(str(label), *map(int, counts)) for label, *counts in plan.to_numpy()),
        trained_on="all" if not recipe.balance else "total" if grows else "kept",
    )


def _suspicious(store: Store, model: Classifier | None, configuration: Configuration) -> Guesses:
    if model is None:
        return Guesses()
    rows = suspicious_labels(store, configuration.labels.suspicious_above, model.version)
    return _guesses(store, rows.rename(columns={"label": "given", "predicted": "label"}))


def _guesses(store: Store, rows: pd.DataFrame) -> Guesses:
    """Return rows of product_id, name, given, label, confidence, evidence and image_digest; the first with pictures."""
    first = rows.head(GUESSES)
    pictures = _pictures(store, first.loc[first["image_digest"].notna(), "product_id"].tolist())
    shown = first.astype(object).where(first.notna(), None).to_dict("records")
    return Guesses(
        count=len(rows),
        shown=tuple(
            Guess(
                product_id=row["product_id"],
                title=row["name"] or row["product_id"],
                picture=pictures.get(row["product_id"]),
                given=row["given"],
                label=row["label"],
                confidence=float(row["confidence"]),
                evidence=row["evidence"] or "",
            )
            for row in shown
        ),
    )


def _gains(store: Store, serves: Serving) -> tuple[Gain, ...]:
    table = folder(store.home) / serves.version / "gate.csv"
    if serves.model is None or not table.exists():
        return ()
    rows = pd.read_csv(table)
    rows = rows[rows["decides"] & rows["difference"].notna()].sort_values("level")
    columns = ["level", "queries", "champion", "challenger", "low", "high"]
    return tuple(Gain(int(level), int(n), *map(float, rest)) for level, n, *rest in rows[columns].to_numpy())


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


def _grids(store: Store, serves: Serving, shown: pd.DataFrame, configuration: Configuration) -> tuple[GridRow, ...]:
    """Return the chosen queries with their recommendations; only their pictures are read."""
    ranked = store.read(serves.recommendations, ["product_id"], "rank = 1")["product_id"].to_pylist()
    candidates = shown.loc[shown.index.isin(ranked), "label"]
    queries = choose_queries(dict(zip(candidates.index, candidates, strict=True)), configuration.report.grids)
    columns = ["product_id", "rank", "neighbour_id", "visual", "colour", "price", "total"]
    where = f"{among('product_id', queries)} AND rank <= {configuration.recommend.demo_top}"
    rows = store.read(serves.recommendations, columns, where).to_pandas().sort_values(["product_id", "rank"])
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
