"""The stage of scraping on the store: which keywords are missing, one of them, and what they all came to.

The table `searches` has one row a keyword: how its last search ended. The table `scraped` has the pictures, each once
by its content, none that the catalogue has too. They are flagged as scraped for ever by where they lie: a scraped
picture is no product, so no split of the products, and no test split above all, can hold one.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa

from recsys.core.configuration import Configuration
from recsys.core.errors import ConfigurationError, FetchError, ScrapingError, TransientFetchError
from recsys.ingest.catalogue.products import ACTIVE
from recsys.ingest.images.fetch import fetch_images
from recsys.ingest.images.item import Item
from recsys.ingest.scraping.pages import Picture
from recsys.ingest.scraping.search import search
from recsys.storage.store import SCHEMAS, Store, among, digest, literal

OUTCOME = ("label", "keyword", "status", "cause", "found", "kept", "duplicates", "broken", "message")
NAMED = 8
"""Failed keywords that an error names at most."""


@dataclass(frozen=True)
class Search:
    """A keyword to search for, to grow a label.

    `digest` covers what made it missing, so that a search that came up again after a failure has another.
    """

    label: str
    keyword: str
    digest: str

    def __str__(self) -> str:
        return f"scraping: {self.keyword}"


@dataclass(frozen=True)
class SearchCounts:
    """What a search came to, in pictures.

    Attributes:
        found: on the result pages.
        kept: of them, now in `scraped` under this keyword.
        duplicates: of them, there already as another's or the catalogue's.
        broken: of them, not to be had.
        pending: of them, to be asked for again, since their host is down.
    """

    found: int = 0
    kept: int = 0
    duplicates: int = 0
    broken: int = 0
    pending: int = 0

    def __str__(self) -> str:
        return f"{self.found} found, {self.kept} kept, {self.duplicates} duplicates, {self.broken} broken"


def class_sizes(store: Store) -> dict[str, int]:
    """Return how many pictures each label has, of its products and scraped ones, the smallest class first."""
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
    """Return the searches that are to be done, those of the smallest class first.

    A label is searched for by its own name, or by what `scraping.keywords` says. A keyword that was searched for
    with the same `scraping.url`, `pages` and `pictures`, and did not fail, is done.

    Args:
        store: of the home.
        configuration: its `scraping` section.
        labels: those to grow, whatever their size (default: all with fewer pictures than `scraping.grow_below`).

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


def search_keyword(store: Store, wanted: Search, configuration: Configuration) -> SearchCounts:
    """Search for a keyword, commit the new pictures in one write and its row in another, and return the counts.

    Pictures that an earlier search for it kept are not fetched again.

    Raises:
        TransientFetchError: a page failed and may come later, or the pictures' host is down; what came is kept.
        PermanentFetchError: a page failed and would fail again.
        HomeError: the store cannot be written to.
    """
    counts = SearchCounts()
    try:
        pictures = search(wanted.keyword, configuration.scraping)
        counts = _keep(store, wanted, pictures, configuration)
        if counts.pending:
            message = f"{counts.pending} of {counts.found} pictures are pending, their host is down; run again later"
            raise TransientFetchError("host_down", message)
    except FetchError as error:
        _record(store, wanted, configuration, counts, error)
        raise
    _record(store, wanted, configuration, counts)
    return counts


def outcomes(store: Store) -> pd.DataFrame:
    """Return one row a keyword that was ever searched for, by label and keyword.

    Columns: label, keyword, status (ok, failed), cause and message (empty when ok), found, kept, duplicates, broken.
    """
    frame = store.read("searches", OUTCOME).to_pandas()
    frame = frame.fillna({"cause": "", "message": ""})
    return frame.sort_values(["label", "keyword"], ignore_index=True)


def require_found(store: Store, searches: Sequence[Search]) -> dict[str, int]:
    """Return what these searches came to in all: searches, found, kept, duplicates, broken.

    Raises:
        ScrapingError: some failed; it names them with their causes.
    """
    asked = {(wanted.label, wanted.keyword) for wanted in searches}
    rows = [row for row in outcomes(store).to_dict("records") if (row["label"], row["keyword"]) in asked]
    if failed := [row for row in rows if row["status"] == "failed"]:
        named = ", ".join(f"{row['keyword']} ({row['cause']})" for row in failed[:NAMED])
        more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
        raise ScrapingError(
            f"{len(failed)} of {len(rows)} keywords failed: {named}{more}; {failed[0]['message']}; "
            "what the others found is kept, and running again asks only for the failed ones"
        )
    return {"searches": len(rows)} | {
        count: sum(int(row[count]) for row in rows) for count in ("found", "kept", "duplicates", "broken")
    }


def _basis(configuration: Configuration) -> str:
    """Return the digest of where and how far is searched; with another, every keyword is to be searched for again."""
    settings = configuration.scraping
    return digest([settings.url, settings.pages, settings.pictures])


def _keep(store: Store, wanted: Search, pictures: Sequence[Picture], configuration: Configuration) -> SearchCounts:
    """Fetch what is new of the pictures found, and commit those whose content is new to the store."""
    taken = pictures[: configuration.scraping.pictures]
    own = f"label = {literal(wanted.label)} AND keyword = {literal(wanted.keyword)}"
    there = set(store.read("scraped", ["url"], own)["url"].to_pylist())
    new = [picture for picture in taken if picture.url not in there]
    ended = fetch_images([Item(picture.url, (picture.url,)) for picture in new], configuration.images)
    fetched = [(picture, outcome) for picture, outcome in zip(new, ended, strict=True) if outcome.image]

    content = among("image_digest", {outcome.image.digest for _, outcome in fetched if outcome.image})
    known = {
        key for table in ("scraped", "images") for key in store.read(table, ["image_digest"], content)[0].to_pylist()
    }
    rows = {}
    for picture, outcome in fetched:
        image = outcome.image
        if image is not None and image.digest not in known:
            known.add(image.digest)
            rows[image.digest] = {
                "image_digest": image.digest,
                "label": wanted.label,
                "keyword": wanted.keyword,
                "title": picture.title,
                "url": picture.url,
                "bytes": image.size,
                "width": image.width,
                "height": image.height,
                "format": image.format,
                "jpeg": image.jpeg,
                "scraped_at": outcome.checked_at,
            }
    if rows:
        store.write("scraped", pa.Table.from_pylist(list(rows.values()), schema=SCHEMAS["scraped"]))
    return SearchCounts(
        found=len(pictures),
        kept=len(taken) - len(new) + len(rows),
        duplicates=len(fetched) - len(rows),
        broken=sum(outcome.status == "broken" for outcome in ended),
        pending=sum(outcome.status == "pending" for outcome in ended),
    )


def _record(
    store: Store, wanted: Search, configuration: Configuration, counts: SearchCounts, error: FetchError | None = None
) -> None:
    """Commit how a search ended."""
    row = {
        "label": wanted.label,
        "keyword": wanted.keyword,
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
