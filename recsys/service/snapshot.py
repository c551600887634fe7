"""A snapshot: all data that an answer needs, read into memory once and never changed.

A request uses one snapshot from start to end. So a model, its embeddings and its recommendations always belong
together, and a run that writes to the store affects no request in progress.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, Recommend
from recsys.ingest.catalogue.facts import currency_of
from recsys.ingest.catalogue.products import products_by_attribute, products_of_variants
from recsys.models.embedding.serving import Serving, serving
from recsys.ranking.ann_index import AnnIndex, load_index
from recsys.ranking.explanation import ScoreQuantiles, explain, score_quantiles
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.gallery_loading import load_nonempty_gallery
from recsys.ranking.outdated import outdated
from recsys.ranking.price_levels import price_level, price_quantiles
from recsys.ranking.reranking import Recommendations, recommend
from recsys.ranking.single_query import unknown_product_error
from recsys.ranking.word_search import WordSearch, load_word_search
from recsys.storage.store import Store, literal

SCORES = ("visual", "colour", "price", "total")
PRODUCT_FIELDS = ("product_id", "name", "brand", "label", "price", "in_stock")


@dataclass(frozen=True)
class ProductFilters:
    """The conditions that a product has to meet. An empty field is no condition.

    Attributes:
        label: the only label allowed.
        price_levels: the price levels allowed.
        excluded_brands: the brands not allowed.
        attributes: the attributes that are needed, such as `material:wool`, in lower case.
        in_stock: whether to leave out the products that are known to be out of stock.
    """

    label: str | None = None
    price_levels: tuple[float, ...] = ()
    excluded_brands: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    in_stock: bool = False


NO_FILTERS = ProductFilters()


@dataclass(frozen=True)
class SimilarOptions:
    """The ranking rule of a request and the filters on its recommendations."""

    rule: Recommend
    filters: ProductFilters = field(default=NO_FILTERS)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The state of a shop at one moment.

    Row i of `frame`, `gallery`, `positions` and `stored` is the same product.

    Attributes:
        store: read-only; for data that is not in memory.
        serves: the serving embedding.
        frame: the products that have features, see `gallery_loading.load_gallery`, grouped by label.
        gallery: the features of these products.
        positions: (n,) their positions in catalogue order.
        quantiles: of the scores in this shop, see `recsys.ranking.explanation.score_quantiles`.
        shortlist: the ANN index that preselects products for a photo; None in a shop without an index.
        configuration: the configuration of the service.
        words: the search by words; None where the serving model has none and the encoder no text tower.
        stored: the recommendations of the last run and their reasons. A row is -1 where the run ranked no products,
            used another rule, or ranked products that have changed since.
        number: the sequence number in this process, from 1.
    """

    store: Store
    serves: Serving
    frame: pd.DataFrame
    gallery: Gallery
    positions: NDArray[np.int64]
    quantiles: ScoreQuantiles
    shortlist: AnnIndex | None
    configuration: Configuration
    words: WordSearch | None
    stored: tuple[Recommendations, NDArray[np.object_]]
    number: int

    def warm(self) -> None:
        """Compute the cached properties, so that the first requests do not wait for them."""
        _ = self.row_of, self.products, self._search_texts, self._not_sold_out, self.currency, self._row_of_variant

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The row of each product id."""
        return {product_id: row for row, product_id in enumerate(self.gallery.product_ids.tolist())}

    @cached_property
    def products(self) -> list[dict[str, Any]]:
        """The fields of each product that answers contain: `PRODUCT_FIELDS` and `price_level`."""
        columns = {name: self.frame[name].astype(object) for name in PRODUCT_FIELDS}
        values = [column.where(column.notna(), None).tolist() for column in columns.values()]
        names = (*PRODUCT_FIELDS, "price_level")
        rows = zip(*values, self.gallery.price_levels.tolist(), strict=True)
        return [dict(zip(names, row, strict=True)) for row in rows]

    @cached_property
    def currency(self) -> str:
        """The sign or code before a price."""
        return currency_of(self.store.home, self.configuration)

    @cached_property
    def knows_stock(self) -> bool:
        """Whether the catalogue has stock information."""
        return bool(self.frame["in_stock"].notna().any())

    @cached_property
    def _search_texts(self) -> list[str]:
        return [f"{item['name']} {item['brand'] or ''} {item['product_id']}".casefold() for item in self.products]

    @cached_property
    def _not_sold_out(self) -> NDArray[np.bool_]:
        return self.frame["in_stock"].ne(False).to_numpy(dtype=bool)

    @cached_property
    def _row_of_variant(self) -> dict[str, int]:
        products = products_of_variants(self.store)
        return {variant: self.row_of[product] for variant, product in products.items() if product in self.row_of}

    @cached_property
    def _rows_by_attribute(self) -> dict[str, list[int]]:
        products = products_by_attribute(self.store)
        return {key: [self.row_of[one] for one in listed if one in self.row_of] for key, listed in products.items()}

    def row(self, product_id: str) -> int:
        """Return the row of a product, or of the product of a variant.

        Raises:
            UnknownProductError: the product is not in the catalogue or has no features.
        """
        row = self.row_of.get(product_id, self._row_of_variant.get(product_id))
        if row is None:
            raise unknown_product_error(self.store, product_id, self.frame)
        return row

    def details(self, row: int) -> dict[str, Any]:
        """Return the category path, the variants and the attributes of the product at a row."""
        path = self.frame["category_path"].iloc[row]
        columns = ["variants", "attributes"]
        product_id = literal(str(self.gallery.product_ids[row]))
        stored = self.store.read("products", columns, f"product_id = {product_id}").to_pylist()
        lists = {name: (stored[0][name] if stored else None) or [] for name in columns}
        return {"category_path": [] if path is None else list(path), **lists}

    def label_counts(self) -> list[tuple[str, int]]:
        """Return the labels and their numbers of products, the most frequent first."""
        counts = [(label, len(rows)) for label, rows in self.gallery.rows_by_label.items()]
        return sorted(counts, key=lambda item: (-item[1], item[0]))

    def search(self, text: str, filters: ProductFilters) -> list[tuple[int, str | None]]:
        """Return the rows of the products that match words and pass the filters, each with the reason, best first.

        Where there is a search by words, see `recsys.ranking.word_search`; products that contain all words in their
        name, brand or id follow; there the id of a product or a variant finds that product alone. Without one
        only products that contain all words are found. Without words, all products in catalogue order.
        """
        contained = self._containing(text, filters)
        exact = self.row_of.get(text.strip(), self._row_of_variant.get(text.strip()))
        if self.words is None or not text.strip():
            return [(row, None) for row in contained]
        if exact in contained:
            return [(exact, None)]
        matches = [(match.row, match.why) for match in self.words.search(text, self.eligible(filters))]
        found = {row for row, _ in matches}
        return matches + [(row, None) for row in contained if row not in found]

    def _containing(self, text: str, filters: ProductFilters) -> list[int]:
        """Return the rows of the products with all words of a text in name, brand or id, in catalogue order."""
        eligible = self.eligible(filters)
        rows = np.arange(len(self.gallery)) if eligible is None else np.flatnonzero(eligible)
        ordered: list[int] = rows[np.argsort(self.positions[rows])].tolist()
        words = text.casefold().split()
        if not words:
            return ordered
        found = [row for row in ordered if all(word in self._search_texts[row] for word in words)]
        variant = self._row_of_variant.get(text.strip())
        return found or [row for row in ordered if row == variant]

    def eligible(self, filters: ProductFilters) -> NDArray[np.bool_] | None:
        """Return which products pass the filters, (n,); None where all do."""
        if filters == NO_FILTERS:
            return None
        rows = np.ones(len(self.gallery), dtype=bool)
        if filters.label is not None:
            rows &= self.gallery.labels == filters.label
        if filters.price_levels:
            rows &= np.isin(self.gallery.price_levels, filters.price_levels)
        if filters.excluded_brands:
            rows &= ~self.frame["brand"].isin(filters.excluded_brands).to_numpy()
        for attribute in filters.attributes:
            has = np.zeros(len(rows), dtype=bool)
            has[self._rows_by_attribute.get(attribute, [])] = True
            rows &= has
        if filters.in_stock:
            rows &= self._not_sold_out
        return rows

    def price_level(self, price: float | None, label: str | None) -> float:
        """Return the level of a price among the prices of a label; the neutral level where one of them is unknown."""
        settings = self.configuration.price
        if price is None or label is None:
            return settings.neutral_level
        prices = self.frame["price"].to_numpy(np.float64)[self.gallery.labels == label]
        return float(price_level(price, price_quantiles(prices, settings), settings.neutral_level))

    def recommend(self, query: Queries, options: SimilarOptions) -> list[dict[str, Any]]:
        """Return the recommendations for one query, best first: products with their scores and the reason."""
        ranked = recommend(
            query, self.gallery, options.rule, allowed=self.eligible(options.filters), shortlist=self.shortlist
        )
        return self._as_answer(ranked, explain(ranked, query, self.gallery, self.quantiles), 0)

    def stored_recommendations(self, row: int) -> list[dict[str, Any]] | None:
        """Return the stored recommendations for the product at a row; None where there are none."""
        ranked, reasons = self.stored
        return self._as_answer(ranked, reasons, row) if ranked.neighbours[row, 0] >= 0 else None

    def _as_answer(self, ranked: Recommendations, reasons: NDArray[np.object_], row: int) -> list[dict[str, Any]]:
        scores = {name: getattr(ranked, name)[row].tolist() for name in SCORES}
        return [
            {
                "rank": position + 1,
                **self.products[neighbour],
                "visual": round(scores["visual"][position], 6),
                "colour": round(scores["colour"][position], 6),
                "price_score": round(scores["price"][position], 6),
                "total": round(scores["total"][position], 6),
                "why": reasons[row, position],
            }
            for position, neighbour in enumerate(ranked.neighbours[row].tolist())
            if neighbour >= 0
        ]


def load_snapshot(home: Path, configuration: Configuration, number: int) -> Snapshot:
    """Read a snapshot of a home.

    Raises:
        HomeError: the home contains no shop.
        NoImagesError: no product has features yet.
        ModelError, TrainingError, WeightsError: the serving model is not known.
    """
    store = Store(home, read_only=True)
    serves = serving(home, configuration)
    frame, gallery = load_nonempty_gallery(store, configuration, serves)
    quantiles = score_quantiles(gallery)
    positions = np.argsort(pd.factorize(gallery.labels)[0], kind="stable")  # makes each label one slice to search
    frame, gallery = frame.iloc[positions].reset_index(drop=True), gallery.take(positions)
    ranked = _load_recommendations(store, serves, gallery, configuration)
    reasons = explain(ranked, Queries.of(gallery, np.arange(len(gallery))), gallery, quantiles)
    shortlist = load_index(store, configuration, serves, frame, gallery)
    words = load_word_search(store, configuration, serves, frame, gallery)
    return Snapshot(
        store, serves, frame, gallery, positions, quantiles, shortlist, configuration, words, (ranked, reasons), number
    )


def _load_recommendations(
    store: Store, serves: Serving, gallery: Gallery, configuration: Configuration
) -> Recommendations:
    """Return the stored recommendations that are still valid, the best `top` of each row of the gallery."""
    top = configuration.recommend.top
    columns = ["product_id", "rank", "neighbour_id", *SCORES]
    table = store.read(serves.recommendations, columns, f"rank <= {top}").to_pandas()
    table = table[~table["product_id"].isin(outdated(store, configuration, serves))]
    row_of = pd.Series(np.arange(len(gallery)), index=gallery.product_ids)
    rows = row_of.reindex(table["product_id"]).to_numpy()
    neighbour_rows = row_of.reindex(table["neighbour_id"]).to_numpy()
    valid = ~np.isnan(rows) & ~np.isnan(neighbour_rows)
    target = rows[valid].astype(np.int64), table["rank"].to_numpy()[valid] - 1
    neighbours = np.full((len(gallery), top), -1)
    neighbours[target] = neighbour_rows[valid].astype(np.int64)
    scores = {name: np.full(neighbours.shape, np.nan, np.float32) for name in SCORES}
    for name, values in scores.items():
        values[target] = table[name].to_numpy()[valid]
    return Recommendations(neighbours, **scores)
