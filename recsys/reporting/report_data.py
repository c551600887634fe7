"""All data of the report, read from the store. `rendering` and the template decide how it looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pandas as pd

from recsys.core.configuration import Configuration
from recsys.evaluation.colour_agreement import ColourAgreement, measure_colour_agreement
from recsys.evaluation.weight_selection import WeightTradeOff, measure_trade_off
from recsys.ingest.addresses import without_credentials
from recsys.ingest.catalogue.facts import currency_of
from recsys.models.embedding.serving import serving
from recsys.reporting.embedding_map import EmbeddingMap, map_products
from recsys.reporting.funnel import BrokenLinks, Funnel, count_funnel, summarise_broken_links
from recsys.reporting.labels import (
    ClassBalance,
    LabelGuesses,
    LabelSummary,
    collect_guesses,
    plan_class_balance,
    summarise_labels,
)
from recsys.reporting.products import read_products, with_features
from recsys.reporting.recommendation_grid import GridRow, build_grid
from recsys.reporting.retrieval import Retrieval, summarise_retrieval
from recsys.storage.store import Store


@dataclass(frozen=True)
class Header:
    """The origin of the report.

    Attributes:
        source: the file or URL of the catalogue.
        links: web addresses or commands, by name.
    """

    made_at: datetime
    source: str
    catalogue_digest: str
    model_version: str
    links: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class ReportData:
    """The sections of the report, in the order of the page.

    Attributes:
        balance: None where no product with an image has a trusted label.
        colours: None where too few products can be judged.
        weights: None where too few products are held out.
    """

    header: Header
    configuration: Configuration
    funnel: Funnel
    broken: BrokenLinks = field(default_factory=BrokenLinks)
    labels: tuple[LabelSummary, ...] = ()
    balance: ClassBalance | None = None
    guesses: LabelGuesses = field(default_factory=LabelGuesses)
    retrieval: Retrieval = field(default_factory=Retrieval)
    colours: ColourAgreement | None = None
    weights: WeightTradeOff | None = None
    map: EmbeddingMap = field(default_factory=EmbeddingMap)
    grids: tuple[GridRow, ...] = ()
    currency: str = ""


def gather(
    store: Store,
    configuration: Configuration,
    evaluation: pd.DataFrame | None = None,
    links: Mapping[str, str] | None = None,
) -> ReportData:
    """Return the data of the report on the store's present state.

    Only the images that the report shows, and a sample for the colours, are read. So the time hardly grows with the
    catalogue; t-SNE takes most of it.

    Args:
        store: the home's tables.
        configuration: the configuration of the run.
        evaluation: see `recsys.evaluation.leave_one_out`; None where the run did not evaluate.
        links: for the header, by name: web addresses, or commands where a server may not be running.
    """
    serves = serving(store.home, configuration)
    products = read_products(store)
    shown = with_features(products, store, serves, configuration.price)
    source, catalogue_digest = _last_catalogue(store)
    return ReportData(
        header=Header(datetime.now(UTC), source, catalogue_digest, serves.version, dict(links or {})),
        configuration=configuration,
        funnel=count_funnel(store, configuration),
        broken=summarise_broken_links(store),
        labels=summarise_labels(store, products, shown, configuration.price),
        balance=plan_class_balance(store, products, configuration),
        guesses=collect_guesses(store, configuration),
        retrieval=summarise_retrieval(store, serves, evaluation),
        colours=measure_colour_agreement(store, configuration),
        weights=measure_trade_off(store, configuration),
        map=map_products(store, serves.embeddings, shown, configuration),
        grids=build_grid(store, serves, shown, configuration),
        currency=currency_of(store.home, configuration),
    )


def _last_catalogue(store: Store) -> tuple[str, str]:
    """Return the source and the digest of the catalogue that was read last; empty where there is none."""
    readings = store.read("catalogues", ["source", "catalogue_digest", "read_at"]).sort_by("read_at").to_pylist()
    if not readings:
        return "", ""
    return without_credentials(readings[-1]["source"] or ""), readings[-1]["catalogue_digest"]
