"""All that an answer needs, in memory: read once, and swapped for a newer one as a whole.

A request takes the snapshot that is there when it comes and keeps it to its end, so that a model, its embeddings and
its recommendations never mix, and a run that writes to the store disturbs nobody.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, Recommend
from recsys.core.errors import NoImagesError, RecsysError
from recsys.models.embedding.serving import Serving, serving
from recsys.models.features import table_name
from recsys.ranking.ann_index import AnnIndex, load_index
from recsys.ranking.cache_keys import ranking_keys
from recsys.ranking.explanation import ScoreQuantiles, explain, score_quantiles
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.price_levels import price_quantiles
from recsys.ranking.reranking import Recommendations, recommend
from recsys.storage.store import Store, is_held

SCORES = ("visual", "colour", "price", "total")

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A shop as it was at one moment.

    Attributes:
        store: read-only, for what is not in memory: pictures, and why a product cannot be compared.
        serves: which embedding.
        frame: the products that can be compared, see `recsys.ranking.cache_keys.products_with_image`, label by label.
        gallery: row by row what they are compared by.
        places: (n,) theirs in the catalogue's order.
        usual: see `recsys.ranking.explanation.score_quantiles`.
        shortlist: whom a photo is compared with in a shop that has an index; None: with all.
        configuration: of the service.
        stored: the recommendations that the last run ranked, row by row as the gallery, and their reasons; rows of -1
            where it ranked none, or by another rule or of other products than there are now.
        number: counted from 1 in this process.
    """

    store: Store
    serves: Serving
    frame: pd.DataFrame
    gallery: Gallery
    places: NDArray[np.int64]
    usual: ScoreQuantiles
    shortlist: AnnIndex | None
    configuration: Configuration
    stored: tuple[Recommendations, NDArray[np.object_]]
    number: int

    @classmethod
    def of(cls, home: Path, configuration: Configuration, number: int) -> Snapshot:
        """Read one.

        Raises:
            HomeError: there is no shop in the home.
            NoImagesError: no product has features yet.
            ModelError, TrainingError, WeightsError: what serves cannot be told.
        """
        store = Store(home, read_only=True)
        serves = serving(home, configuration)
        frame, gallery = load_gallery(store, configuration, serves)
        if not len(gallery):
            raise NoImagesError(
                f"home {home} has no product with features of the configured backbone yet; "
                "run 'recsys run --catalogue FILE' to the end, then ask again"
            )
        usual = score_quantiles(gallery)
        together = np.argsort(pd.factorize(gallery.labels)[0], kind="stable")  # so that a label's are searched in place
        frame, gallery = frame.iloc[together].reset_index(drop=True), gallery.take(together)
        ranked = _ranked(store, serves, gallery, configuration)
        reasons = explain(ranked, Queries.of(gallery, np.arange(len(gallery))), gallery, usual)
        shortlist = load_index(store, configuration, serves, frame, gallery)
        return cls(store, serves, frame, gallery, together, usual, shortlist, configuration, (ranked, reasons), number)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """The row of each product."""
        return {key: row for row, key in enumerate(self.gallery.product_ids.tolist())}

    @cached_property
    def products(self) -> list[dict[str, Any]]:
        """Each product as it is told: product_id, name, brand, label, price, in_stock, price_level."""
        told = ("product_id", "name", "brand", "label", "price", "in_stock")
        columns = {name: self.frame[name].astype(object) for name in told}
        lists = [column.where(column.notna(), None).tolist() for column in columns.values()]
        levels = self.gallery.price_levels.tolist()
        names = (*columns, "price_level")
        return [dict(zip(names, values, strict=True)) for values in zip(*lists, levels, strict=True)]

    @cached_property
    def searched(self) -> list[str]:
        """What is searched for words, of each product."""
        return [f"{each['name']} {each['brand'] or ''} {each['product_id']}".casefold() for each in self.products]

    @cached_property
    def knows_stock(self) -> bool:
        """Whether the catalogue says what is in stock."""
        return bool(self.frame["in_stock"].notna().any())

    def found(self, words: str, label: str | None, level: float | None, in_stock: bool) -> list[int]:
        """Return the rows of the products that have all words, this label and price level, and are not sold out where
        that is asked for, in catalogue order."""
        allowed = self.allowed(label, () if level is None else (level,), (), in_stock)
        there = np.arange(len(self.gallery)) if allowed is None else np.flatnonzero(allowed)
        wanted = words.casefold().split()
        found: list[int] = there[np.argsort(self.places[there])].tolist()
        return [row for row in found if all(word in self.searched[row] for word in wanted)] if wanted else found

    @cached_property
    def _available(self) -> NDArray[np.bool_]:
        """Which products are not known to be out of stock, (n,)."""
        return self.frame["in_stock"].ne(False).to_numpy(dtype=bool)

    def allowed(
        self, label: str | None, levels: tuple[float, ...], brands_not: tuple[str, ...], in_stock: bool
    ) -> NDArray[np.bool_] | None:
        """Return which products may be recommended, (n,); None for all."""
        if label is None and not levels and not brands_not and not in_stock:
            return None
        rows = np.ones(len(self.gallery), dtype=bool)
        if label is not None:
            rows &= self.gallery.labels == label
        if levels:
            rows &= np.isin(self.gallery.price_levels, levels)
        if brands_not:
            rows &= ~self.frame["brand"].isin(brands_not).to_numpy()
        if in_stock:
            rows &= self._available
        return rows

    def price_level(self, price: float | None, label: str | None) -> float:
        """Return the level that a price has among those of a label; the neutral one where either is not known."""
        settings = self.configuration.price
        prices = self.frame["price"].to_numpy(np.float64)[self.gallery.labels == label]
        quantiles = price_quantiles(prices, settings)
        if price is None or label is None or np.isnan(quantiles).any() or quantiles[0] == quantiles[2]:
            return settings.neutral_level
        return float(1 + np.searchsorted(quantiles, price, side="left"))

    def similar(self, query: Queries, rule: Recommend, allowed: NDArray[np.bool_] | None) -> list[dict[str, Any]]:
        """Return a single query's recommendations, best first, each as a product with its scores and the reason."""
        answer = recommend(query, self.gallery, rule, allowed=allowed, shortlist=self.shortlist)
        return self._told(answer, explain(answer, query, self.gallery, self.usual), 0)

    def stored_for(self, of: int) -> list[dict[str, Any]] | None:
        """Return the recommendations that were ranked for the product at a row; None where there are none."""
        answer, reasons = self.stored
        return self._told(answer, reasons, of) if answer.neighbours[of, 0] >= 0 else None

    def _told(self, answer: Recommendations, reasons: NDArray[np.object_], of: int) -> list[dict[str, Any]]:
        scores = {name: getattr(answer, name)[of].tolist() for name in SCORES}
        return [
            {
                "rank": place + 1,
                **self.products[row],
                "visual": round(scores["visual"][place], 6),
                "colour": round(scores["colour"][place], 6),
                "price_score": round(scores["price"][place], 6),
                "total": round(scores["total"][place], 6),
                "why": reasons[of, place],
            }
            for place, row in enumerate(answer.neighbours[of].tolist())
            if row >= 0
        ]


def _ranked(store: Store, serves: Serving, gallery: Gallery, configuration: Configuration) -> Recommendations:
    """Return the stored recommendations that still hold, the best `top` of each product, row by row as the gallery."""
    top = configuration.recommend.top
    columns = ["product_id", "rank", "neighbour_id", "basis", *SCORES]
    table = store.read(serves.recommendations, columns, f"rank <= {top}").to_pandas()
    now = ranking_keys(store, configuration, serves)
    table = table[table["basis"].to_numpy() == now.reindex(table["product_id"]).to_numpy()]
    row_of = pd.Series(np.arange(len(gallery)), index=gallery.product_ids)
    rows, places = row_of.reindex(table["product_id"]).to_numpy(), table["rank"].to_numpy() - 1
    others = row_of.reindex(table["neighbour_id"]).to_numpy()
    kept = ~np.isnan(rows) & ~np.isnan(others)
    at = rows[kept].astype(np.int64), places[kept]
    neighbours = np.full((len(gallery), top), -1)
    neighbours[at] = others[kept].astype(np.int64)
    scores = {name: np.full(neighbours.shape, np.nan, np.float32) for name in SCORES}
    for name, values in scores.items():
        values[at] = table[name].to_numpy()[kept]
    return Recommendations(neighbours, **scores)


class Snapshots:
    """The newest snapshot of a home, and a thread that sees when the home has changed."""

    def __init__(self, home: Path, configuration: Configuration) -> None:
        self.home, self.configuration = home, configuration
        self._now: Snapshot | None = None
        self._failure: RecsysError | None = None
        self._state: object = None
        self._reading = threading.Lock()
        self._closed = threading.Event()

    def ready(self) -> Snapshot | None:
        """Return the snapshot if it has been read."""
        return self._now

    def now(self) -> Snapshot:
        """Return the snapshot; the first to ask reads it.

        Raises:
            RecsysError: the home holds nothing that could be served; see `Snapshot.of`.
        """
        if self._now is None:
            self.look()
        if self._now is None:
            assert self._failure is not None
            raise self._failure
        return self._now

    def look(self) -> None:
        """Read a new snapshot if the home has changed since the last; where that fails, the last one stays."""
        with self._reading:
            try:
                state = self._state_of_home()
                if self._now is not None and state == self._state:
                    return
                number = 1 if self._now is None else self._now.number + 1
                fresh = Snapshot.of(self.home, self.configuration, number)
                _ = fresh.row_of, fresh.products, fresh.searched  # before anybody waits for them
            except RecsysError as error:
                self._failure = error
                return
            self._now, self._state = fresh, state

    def watch(self) -> None:
        """Look again and again, until `close`; while a run is at work, or the home changes at every look, it is left
        alone."""
        seen = self._state
        while not self._closed.wait(self.configuration.service.refresh_s):
            if is_held(self.home):
                continue
            try:
                state = self._state_of_home()
                if state == seen:
                    self.look()
                seen = state
            except RecsysError as error:
                log.debug("%s", error)
            except Exception:
                log.exception("the home could not be looked at")

    def close(self) -> None:
        """End `watch`."""
        self._closed.set()

    def _state_of_home(self) -> tuple[object, ...]:
        store = Store(self.home, read_only=True)
        serves = serving(self.home, self.configuration)
        tables = ("products", "images", "labels", table_name(self.configuration), serves.embeddings)
        # the revision, since what searches in an index holds on to one, which upkeep drops in the end
        searched = store.revision(serves.embeddings)
        return (store.id, serves, searched, *map(store.version, (*tables, serves.recommendations)))
