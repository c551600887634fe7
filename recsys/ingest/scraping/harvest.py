"""The stage of scraping on the store: missing keywords, one keyword, and the counts.

The table `searches` has one row per keyword with the outcome of its last search. The table `scraped` has the pictures,
distinct by content, without those that the catalogue has too. A scraped picture is never a product, so no split of the
products, and no test split in particular, can contain one.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from recsys.core.configuration import Configuration
from recsys.core.digests import digest
from recsys.core.errors import ConfigurationError, FetchError, ScrapingError, TransientFetchError
from recsys.ingest.catalogue.products import ACTIVE
from recsys.ingest.images.fetch import fetch_images
from recsys.ingest.images.item import Item, Outcome
from recsys.ingest.scraping.marketplace import search
from recsys.ingest.scraping.pages import Picture
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store, among, literal

OUTCOME = ("label", "keyword", "status", "cause", "found", "kept", "duplicates", "broken", "message")
MAX_NAMED = 8
"""Failed keywords that an error message names at most."""


@dataclass(frozen=True)
class Search:
    """A keyword to search for, to grow a label.

    `digest` covers the reason why it is missing, so that a search that is repeated after a failure has another digest.
    """

    label: str
    keyword: str
    digest: str

    def __str__(self) -> str:
        return f"scraping: {self.keyword}"


@dataclass(frozen=True)
class SearchCounts:
    """The numbers of pictures of a search.

    Attributes:
        found: pictures on the result pages.
        kept: pictures that are now in `scraped` under this keyword.
        duplicates: pictures that another keyword or the catalogue has already.
        broken: pictures that cannot be downloaded.
        pending: pictures to request again, because their host is down.
    """

    found: int = 0
    kept: int = 0
    duplicates: int = 0
    broken: int = 0
    pending: int = 0

    def __str__(self) -> str:
        return f"{self.found} found, {self.kept} kept, {self.duplicates} duplicates, {self.broken} broken"


def class_sizes(store: Store) -> dict[str, int]:
    """Return the number of pictures of each label, of products and scraped ones, the smallest class first."""
    active = store.read("products", ["product_id"], ACTIVE).to_pandas()["product_id"]
    pictured = store.read("images", ["product_id"], "status = 'ok'").to_pandas()["product_id"]
    labels = store.read("labels", ["product_id", "label"]).to_pandas().dropna()
    labels = labels[labels["product_id"].isin(active)]
    sizes: dict[str, int] = labels["product_id"].isin(pictured).groupby(labels["label"]).sum().to_dict()
    for label, scraped in store.read("scraped", ["label"]).to_pandas()["label"].value_counts().items():
        if label in sizes:
            sizes[str(label)] += int(scraped)
    return {label: int(size) for label, size in sorted(sizes.items(), key=lambda item: (item[1], item[0]))}


def missing(store: Store, configuration: Configuration, labels: Sequence[str] | None = None) -> list[Search]:
    """Return the missing searches, those of the smallest class first.

    The keywords of a label are those of `scraping.keywords`, or its own name. A search is missing unless it succeeded
    with the same `scraping.url`, `pages` and `pictures`.

    Args:
        store: of the home.
        configuration: its `scraping` section.
        labels: labels to grow, whatever their size (default: all with fewer pictures than `scraping.grow_below`).

    Raises:
        ConfigurationError: the catalogue has no such label.
    """
    settings, basis = configuration.scraping, _basis(configuration)
    sizes = class_sizes(store)
    for label in labels or ():
        if label not in sizes:
            close = difflib.get_close_matches(label, sizes, n=1)
            hint = f"did you mean '{close[0]}'?" if close else "'recsys status' lists them"
            raise ConfigurationError(f"the catalogue has no label '{label}'; {hint}")
    if labels is None:
        labels = [label for label, size in sizes.items() if size < settings.grow_below]
    columns = ["label", "keyword", "basis", "status", "checked_at"]
    rows = {(row["label"], row["keyword"]): row for row in store.read("searches", columns).to_pylist()}
    searches = []
    for label in dict.fromkeys(labels):
        for keyword in dict.fromkeys(settings.keywords.get(label, (label,))):
            row = rows.get((label, keyword))
            if row is None or row["status"] != "ok" or row["basis"] != basis:
                state = list(row.values()) if row else None
                searches.append(Search(label, keyword, digest([label, keyword, basis, state])))
    return searches


def run_search(store: Store, query: Search, configuration: Configuration) -> SearchCounts:
    """Search for a keyword, commit the new pictures in one write and the outcome in another, and return the counts.

    Pictures that an earlier search for the keyword stored are not fetched again.

    Raises:
        TransientFetchError: a page failed for a cause that may pass, or the pictures' host is down; the other pictures
            are stored.
        PermanentFetchError: a page failed for a cause that will not pass.
        HomeError: the store cannot be written to.
    """
    counts = SearchCounts()
    try:
        pictures = search(query.keyword, configuration.scraping)
        counts = _fetch_new(store, query, pictures, configuration)
        if counts.pending:
            message = f"{counts.pending} of {counts.found} pictures are pending, their host is down; run again later"
            raise TransientFetchError("host_down", message)
    except FetchError as error:
        _record(store, query, configuration, counts, error)
        raise
    _record(store, query, configuration, counts)
    return counts


def outcomes(store: Store) -> pd.DataFrame:
    """Return one row per keyword that was searched for, by label and keyword.

    Columns: label, keyword, status (ok, failed), cause and message (empty when ok), found, kept, duplicates, broken.
    """
    frame = store.read("searches", OUTCOME).to_pandas()
    frame = frame.fillna({"cause": "", "message": ""})
    return frame.sort_values(["label", "keyword"], ignore_index=True)


def require_found(store: Store, searches: Sequence[Search]) -> dict[str, int]:
    """Return the total counts of searches: searches, found, kept, duplicates, broken.

    Raises:
        ScrapingError: some searches failed; the message names them with their causes.
    """
    keys = {(query.label, query.keyword) for query in searches}
    rows = [row for row in outcomes(store).to_dict("records") if (row["label"], row["keyword"]) in keys]
    if failed := [row for row in rows if row["status"] == "failed"]:
        named = ", ".join(f"{row['keyword']} ({row['cause']})" for row in failed[:MAX_NAMED])
        more = f" and {len(failed) - MAX_NAMED} more" if len(failed) > MAX_NAMED else ""
        raise ScrapingError(
            f"{len(failed)} of {len(rows)} keywords failed: {named}{more}; {failed[0]['message']}; "
            "the pictures of the other keywords are stored; run again to search only for the failed keywords"
        )
    return {"searches": len(rows)} | {
        count: sum(int(row[count]) for row in rows) for count in ("found", "kept", "duplicates", "broken")
    }


def _basis(configuration: Configuration) -> str:
    """Return the digest of the settings of a search; when it changes, every keyword is missing again."""
    settings = configuration.scraping
    return digest([settings.url, settings.pages, settings.pictures])


def _fetch_new(store: Store, query: Search, pictures: Sequence[Picture], configuration: Configuration) -> SearchCounts:
    """Fetch the pictures that the store has not, commit those with new content, and return the counts."""
    selected = pictures[: configuration.scraping.pictures]
    of_query = f"label = {literal(query.label)} AND keyword = {literal(query.keyword)}"
    stored_urls = set(store.read("scraped", ["url"], of_query)["url"].to_pylist())
    new = [picture for picture in selected if picture.url not in stored_urls]
    fetched = fetch_images([Item(picture.url, (picture.url,)) for picture in new], configuration.images)
    ok = [(picture, outcome) for picture, outcome in zip(new, fetched, strict=True) if outcome.image]
    rows = _new_rows(store, query, ok)
    if rows:
        store.write("scraped", pa.Table.from_pylist(rows, schema=SCHEMAS["scraped"]))
    return SearchCounts(
        found=len(pictures),
        kept=len(selected) - len(new) + len(rows),
        duplicates=len(ok) - len(rows),
        broken=sum(outcome.status == "broken" for outcome in fetched),
        pending=sum(outcome.status == "pending" for outcome in fetched),
    )


def _new_rows(store: Store, query: Search, fetched: Sequence[tuple[Picture, Outcome]]) -> list[dict[str, Any]]:
    """Return the rows of the fetched pictures whose content neither another keyword nor the catalogue has."""
    content = among("image_digest", {outcome.image.digest for _, outcome in fetched if outcome.image})
    known: set[str] = set()
    for table in ("scraped", "images"):
        known.update(store.read(table, ["image_digest"], content)["image_digest"].to_pylist())
    rows = []
    for picture, outcome in fetched:
        image = outcome.image
        if image is not None and image.digest not in known:
            known.add(image.digest)
            rows.append(
                {
                    "image_digest": image.digest,
                    "label": query.label,
                    "keyword": query.keyword,
                    "title": picture.title,
                    "url": picture.url,
                    "bytes": image.size,
                    "width": image.width,
                    "height": image.height,
                    "format": image.format,
                    "jpeg": image.jpeg,
                    "scraped_at": outcome.checked_at,
                }
            )
    return rows


def _record(
    store: Store, query: Search, configuration: Configuration, counts: SearchCounts, error: FetchError | None = None
) -> None:
    """Commit the outcome of a search."""
    row = {
        "label": query.label,
        "keyword": query.keyword,
        "basis": _basis(configuration),
        "status": "failed" if error else "ok",
        "cause": error.cause if error else None,
        "http_code": error.http_code if error else None,
        "message": str(error) if error else None,
        "found": counts.found,
        "kept": counts.kept,
        "duplicates": counts.duplicates,
        "broken": counts.broken,
        "checked_at": datetime.now(UTC),
    }
    store.write("searches", pa.Table.from_pylist([row], schema=SCHEMAS["searches"]))
