"""Do recommendations have the query's colours? The colour score with the product's mask against the original's.

The reference for a product's colour is independent of the mask and of the histograms:

dominant colour   the most frequent basic colour of the product's pixels, cut out by GrabCut (Rother, Kolmogorov &
                  Blake, 2004), another method than the mask's
colour words      those in the product's name and category path, among products that have one

Two rankings within the label are evaluated: by the colour score alone, and by the configured rule.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Colour, Configuration, Recommend
from recsys.evaluation.basic_colours import SIDE, TERMS, colour_words, dominant_colour
from recsys.models import features
from recsys.ranking.gallery import Gallery, Queries, rows_by_value
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.nearest_neighbours import nearest_columns
from recsys.ranking.reranking import recommend
from recsys.storage.store import Store, among
from recsys.vision.colour import colour_score, histogram
from recsys.vision.foreground_mask import product_mask
from recsys.vision.square import decode_squared

TOP = 5
"""Number of neighbours per query."""
PRODUCTS, PRODUCTS_PER_LABEL = 400, 100
"""Size of the sample, and its largest number of products of one label. The sample has whole labels as far as possible,
because a product is ranked against those of its label."""
MIN_PRODUCTS = 30
"""Smallest number of products that gives a result."""
EXAMPLES = 8
"""Number of examples of the mask."""

RESAMPLES = 1_000
SEED = 12_345
PAINT = (0, 168, 107)
"""RGB colour of the background in the examples."""

RankedBy = Literal["colour", "rule"]


@dataclass(frozen=True)
class AgreementResult:
    """Agreement of the five best with their query, in [0, 1].

    Attributes:
        judged_by: the reference for a product's colour.
        ranked_by: the colour score alone, or the configured rule.
        products: number of queries that count.
        without, masked: agreement with `colour.mask` none and product.
        ratio: masked / without; low and high are the ends of its 95 % interval (bootstrap over the queries).
    """

    judged_by: Literal["dominant colour", "colour words"]
    ranked_by: RankedBy
    products: int
    without: float
    masked: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class MaskExample:
    """A product's picture, and the same with its background painted over: (side, side, 3) uint8 RGB each."""

    product_id: str
    title: str
    picture: NDArray[np.uint8]
    painted: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ColourAgreement:
    """The results, and some products to check the mask by eye."""

    results: tuple[AgreementResult, ...]
    examples: tuple[MaskExample, ...]


@dataclass(frozen=True, eq=False)
class ColourSample:
    """n products of a shop, row by row.

    Attributes:
        frame: see `recsys.ranking.cache_keys.products_with_image`.
        gallery: the same rows.
        jpegs, sizes: squared pictures, and width and height of their originals.
        texts: names and category paths, which may contain colour words.
    """

    frame: pd.DataFrame
    gallery: Gallery
    jpegs: Sequence[bytes]
    sizes: Sequence[tuple[int, int]]
    texts: Sequence[str]


@dataclass(frozen=True, eq=False)
class ColourFeatures:
    """The colours of n pictures, row by row.

    Attributes:
        without, masked: (n, bins) histograms with `colour.mask` none and product.
        dominant: (n, terms) bool, one True per row.
    """

    without: NDArray[np.float32]
    masked: NDArray[np.float32]
    dominant: NDArray[np.bool_]


def measure_colour_agreement(
    store: Store,
    configuration: Configuration,
    products: int = PRODUCTS,
    products_per_label: int = PRODUCTS_PER_LABEL,
) -> ColourAgreement | None:
    """Measure the agreement of a sample of the shop; None where the sample has fewer than 30 products.

    Args:
        store: the home's tables.
        configuration: the rule, and the histogram's bins.
        products, products_per_label: see `draw_sample`.
    """
    sample = draw_sample(store, configuration, products, products_per_label)
    if sample is None or len(sample.frame) < MIN_PRODUCTS:
        return None
    colours = colour_features(map(decode_squared, sample.jpegs), sample.sizes, configuration.colour)
    ids, titles = sample.frame["product_id"], sample.frame["name"]
    rows = np.linspace(0, len(sample.frame) - 1, EXAMPLES).astype(int)
    return ColourAgreement(
        results=compare_masks(colours, sample.gallery.labels, sample.texts, sample.gallery, configuration.recommend),
        examples=tuple(mask_example(ids[row], titles[row], decode_squared(sample.jpegs[row])) for row in rows),
    )


def draw_sample(
    store: Store, configuration: Configuration, products: int, products_per_label: int
) -> ColourSample | None:
    """Draw labelled products by seed, each picture once; None where there are no features yet.

    Args:
        store: the home's tables.
        configuration: names the features.
        products: largest number of products.
        products_per_label: largest number of one label; the largest labels come first.
    """
    if not store.exists(features.table_name(configuration)):
        return None
    frame, gallery = load_gallery(store, configuration)
    labelled = frame[frame["label"].notna()].drop_duplicates("image_digest")
    random = np.random.default_rng(SEED)
    rows: list[int] = []
    for label in labelled["label"].value_counts().index:
        members = labelled.index[labelled["label"] == label].to_numpy()
        count = min(products_per_label, len(members), products - len(rows))
        rows.extend(random.choice(members, count, replace=False))
    rows.sort()
    frame = frame.iloc[rows].reset_index(drop=True)
    of_sample = among("image_digest", frame["image_digest"])
    images = store.read("images", ["image_digest", "width", "height", "jpeg"], of_sample).to_pandas()
    images = images.drop_duplicates("image_digest").set_index("image_digest").loc[frame["image_digest"]]
    return ColourSample(
        frame=frame,
        gallery=gallery.take(np.array(rows, dtype=np.int64)),
        jpegs=images["jpeg"].tolist(),
        sizes=list(zip(images["width"].astype(int), images["height"].astype(int), strict=True)),
        texts=[
            " ".join([name or "", *(path if path is not None else ())])
            for name, path in zip(frame["name"], frame["category_path"], strict=True)
        ],
    )


def colour_features(
    pictures: Iterable[NDArray[np.uint8]], sizes: Sequence[tuple[int, int]], settings: Colour, side: int = SIDE
) -> ColourFeatures:
    """Compute both histograms and the dominant colour of n squared pictures (side, side, 3) RGB.

    Args:
        pictures: read one by one.
        sizes: width and height of their originals, which give the exact border.
        settings: the histogram's bins.
        side: of the picture that GrabCut works on, pixels.
    """
    variants = [settings.model_copy(update={"mask": mask}) for mask in ("none", "product")]
    rows = [
        (*(histogram(picture, variant) for variant in variants), dominant_colour(picture, size, side))
        for picture, size in zip(pictures, sizes, strict=True)
    ]
    without, masked, dominant = zip(*rows, strict=True)
    return ColourFeatures(np.stack(without), np.stack(masked), np.eye(len(TERMS), dtype=bool)[list(dominant)])


def compare_masks(
    colours: ColourFeatures,
    labels: NDArray[np.object_],
    texts: Sequence[str],
    gallery: Gallery | None = None,
    rule: Recommend | None = None,
) -> tuple[AgreementResult, ...]:
    """Compare the agreement with and without the mask, for n products.

    Args:
        colours: of their pictures.
        labels: (n,) the label that each is ranked within; None for products without one.
        texts: n, which may contain colour words.
        gallery: embeddings and price levels of the same rows; with it and a rule, the rule is evaluated too.
        rule: the configured rule.
    """
    rankings: dict[RankedBy, Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.int64]]] = {
        "colour": lambda histograms, rows: nearest_by_colour(histograms[rows], labels[rows])
    }
    if gallery is not None and rule is not None:
        rankings["rule"] = lambda histograms, rows: _nearest_by_rule(gallery, rule, histograms, rows)
    results = []
    references = (("dominant colour", colours.dominant), ("colour words", colour_words(texts)))
    for judged_by, reference in references:
        rows = np.flatnonzero(reference.any(axis=1))  # products of unknown colour are neither queries nor candidates
        if len(rows) < MIN_PRODUCTS:
            continue
        for ranked_by, nearest in rankings.items():
            without, masked = (
                agreement(nearest(histograms, rows), reference[rows])
                for histograms in (colours.without, colours.masked)
            )
            counted = ~np.isnan(without)
            if counted.sum() >= MIN_PRODUCTS:
                comparison = _compared(without[counted], masked[counted])
                results.append(AgreementResult(judged_by, ranked_by, int(counted.sum()), *comparison))  # type: ignore[arg-type]
    return tuple(results)


def nearest_by_colour(histograms: NDArray[np.float32], labels: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the rows (n, 5) of the nearest in colour within the label, best first; -1 where there are fewer."""
    neighbours = np.full((len(histograms), TOP), -1)
    for members in rows_by_value(labels).values():
        for position, row in enumerate(members):
            scores = colour_score(histograms[row], histograms[members])
            scores[position] = -np.inf
            best = nearest_columns(scores[None], min(TOP, len(members) - 1))[0]
            neighbours[row, : len(best)] = members[best]
    return neighbours


def _nearest_by_rule(
    gallery: Gallery, rule: Recommend, histograms: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the recommendations (r, 5) among these rows of the gallery, with other histograms."""
    members = dataclasses.replace(gallery, histograms=histograms).take(rows)
    return recommend(Queries.of(members, np.arange(len(members))), members, rule, TOP).neighbours


def agreement(neighbours: NDArray[np.int64], colours: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return, for each query, the share of its neighbours with a colour in common with it; NaN without neighbours.

    Args:
        neighbours: (n, k) rows, -1 where there are fewer.
        colours: (n, terms) of each row.
    """
    valid = neighbours >= 0
    alike = (colours[neighbours] & colours[:, None]).any(axis=2) & valid
    with np.errstate(invalid="ignore"):
        return np.asarray(alike.sum(axis=1) / valid.sum(axis=1))


def _compared(without: NDArray[np.float64], masked: NDArray[np.float64]) -> tuple[float, float, float, float, float]:
    """Return both means, the ratio masked / without, and the ends of its 95 % interval, by a paired bootstrap."""
    drawn = np.random.default_rng(SEED).integers(0, len(masked), (RESAMPLES, len(masked)))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = masked[drawn].mean(axis=1) / without[drawn].mean(axis=1)
        low, high = np.nanpercentile(ratios, [2.5, 97.5])
        ratio = masked.mean() / without.mean()
    return float(without.mean()), float(masked.mean()), float(ratio), float(low), float(high)


def mask_example(product_id: str, title: str | None, picture: NDArray[np.uint8]) -> MaskExample:
    """Return a product's squared picture (side, side, 3) RGB, and the same with its background painted over."""
    painted = picture.copy()
    painted[~product_mask(picture)] = PAINT
    return MaskExample(product_id, title or product_id, picture, painted)
