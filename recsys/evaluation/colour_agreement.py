"""Do recommendations have the query's colours? The colour score with the product's mask beside the original's.

Judged by two things that know nothing of the mask or of the histograms:

dominant colour   the most frequent of the eleven basic colour terms (Berlin & Kay, 1969) over the product's pixels as
                  GrabCut cuts them out (Rother, Kolmogorov & Blake, 2004): another definition of the product
colour words      those in the product's name and category path, among products that have one

and for two rankings within the label: by the colour score alone, and by the configured rule.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recsys.core.configuration import Colour, Configuration, Recommend
from recsys.models import features
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.gallery_loading import load_gallery
from recsys.ranking.nearest_neighbours import nearest_columns
from recsys.ranking.reranking import recommend
from recsys.storage.store import Store, among
from recsys.vision.colour import colour_score, histogram
from recsys.vision.foreground_mask import product_mask
from recsys.vision.square import decode_squared

TOP = 5
PRODUCTS, PRODUCTS_OF_A_LABEL = 400, 100
"""Of a sample: whole labels as far as possible, since a product is ranked against those of its own."""
LEAST_PRODUCTS = 30
"""That must be judged; of fewer, a figure says nothing."""
EXAMPLES = 8

TERMS = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
"""The eleven basic colour terms."""

HUES = (
    (20, "pink"), (50, "red"), (72, "orange"), (105, "yellow"), (190, "green"), (306, "blue"), (330, "purple"),
    (360, "pink"),
)  # fmt: skip
"""The term of a chromatic colour by its hue angle in CIELAB, in degrees: up to which, and which."""

WORDS = {
    **{term: term for term in TERMS},
    "gray": "grey", "silver": "grey", "steel": "grey", "maroon": "red", "gold": "yellow", "golden": "yellow",
    "navy": "blue", "violet": "purple", "beige": "brown",
}  # fmt: skip
"""The words of a catalogue that mean a basic colour."""

SIDE = 64
"""Pixels that GrabCut works on: with 128 it takes eight times as long and finds the same dominant colours mostly."""
ROUNDS = 3
FRAME = 16
"""GrabCut is told that the outermost sixteenth is background."""

RESAMPLES = 1_000
SEED = 12_345
PAINT = (0, 168, 107)
"""RGB of what is not the product, in the examples."""


@dataclass(frozen=True)
class Figure:
    """Agreement of the best five with their query, in [0, 1].

    Attributes:
        judged_by: what tells a product's colour.
        ranked_by: the colour score alone, or the configured rule.
        products: queries that count.
        without, masked: agreement with `colour.mask` none and product.
        ratio: of the two; low and high bound it with 95 % confidence (bootstrap over the queries).
    """

    judged_by: Literal["dominant colour", "colour words"]
    ranked_by: Literal["colour", "rule"]
    products: int
    without: float
    masked: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Example:
    """A product, and what of its picture is taken for it: (side, side, 3) uint8 RGB each, the rest painted over."""

    product_id: str
    title: str
    picture: NDArray[np.uint8]
    shown: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ColourAgreement:
    """The figures, and some products to check the mask by eye."""

    figures: tuple[Figure, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True, eq=False)
class Sample:
    """n products to judge by, row by row: what is known of them, what they are ranked by, and their pictures.

    Attributes:
        frame: see `gallery.products_with_image`.
        jpegs, sizes: squared pictures, and width and height of their originals.
        texts: in which colour words are looked for.
    """

    frame: pd.DataFrame
    gallery: Gallery
    jpegs: Sequence[bytes]
    sizes: Sequence[tuple[int, int]]
    texts: Sequence[str]


@dataclass(frozen=True, eq=False)
class Seen:
    """n pictures as both variants see them, row by row.

    Attributes:
        without, masked: (n, bins) histograms with `colour.mask` none and product.
        dominant: (n, terms) bool, one a row.
    """

    without: NDArray[np.float32]
    masked: NDArray[np.float32]
    dominant: NDArray[np.bool_]


def measure(
    store: Store, configuration: Configuration, products: int = PRODUCTS, of_a_label: int = PRODUCTS_OF_A_LABEL
) -> ColourAgreement | None:
    """Return the figures of a sample of the shop; None where fewer than 30 products can be judged.

    Args:
        store: the home's tables.
        configuration: the rule, and the histogram's bins.
        products, of_a_label: see `draw`.
    """
    drawn = draw(store, configuration, products, of_a_label)
    if drawn is None or len(drawn.frame) < LEAST_PRODUCTS:
        return None
    seen = see(map(decode_squared, drawn.jpegs), drawn.sizes, configuration.colour)
    ids, titles = drawn.frame["product_id"], drawn.frame["name"]
    shown = np.linspace(0, len(drawn.frame) - 1, EXAMPLES).astype(int)
    return ColourAgreement(
        figures=compare(seen, drawn.gallery.labels, drawn.texts, drawn.gallery, configuration.recommend),
        examples=tuple(example(ids[row], titles[row], decode_squared(drawn.jpegs[row])) for row in shown),
    )


def draw(store: Store, configuration: Configuration, products: int, of_a_label: int) -> Sample | None:
    """Draw labelled products by seed, each picture once; None where the configured features are not there yet.

    Args:
        store: the home's tables.
        configuration: whose features.
        products: how many at most.
        of_a_label: how many of them may have one label; the largest labels come first, since a product is ranked
            against those of its own.
    """
    if not store.exists(features.table_name(configuration)):
        return None
    frame, gallery = load_gallery(store, configuration)
    labelled = frame[frame["label"].notna()].drop_duplicates("image_digest")
    random = np.random.default_rng(SEED)
    rows: list[int] = []
    for label in labelled["label"].value_counts().index:
        members = labelled.index[labelled["label"] == label].to_numpy()
        rows.extend(random.choice(members, min(of_a_label, len(members), products - len(rows)), replace=False))
    rows.sort()
    frame = frame.iloc[rows].reset_index(drop=True)
    wanted = among("image_digest", frame["image_digest"])
    found = store.read("images", ["image_digest", "width", "height", "jpeg"], wanted).to_pandas()
    found = found.drop_duplicates("image_digest").set_index("image_digest").loc[frame["image_digest"]]
    return Sample(
        frame=frame,
        gallery=gallery.take(np.array(rows, dtype=np.int64)),
        jpegs=found["jpeg"].tolist(),
        sizes=list(zip(found["width"].astype(int), found["height"].astype(int), strict=True)),
        texts=[
            " ".join([name or "", *(path if path is not None else ())])
            for name, path in zip(frame["name"], frame["category_path"], strict=True)
        ],
    )


def see(
    pictures: Iterable[NDArray[np.uint8]], sizes: Sequence[tuple[int, int]], settings: Colour, side: int = SIDE
) -> Seen:
    """Return what both variants, and GrabCut, see in n squared pictures (side, side, 3) RGB.

    Args:
        pictures: looked at one by one.
        sizes: width and height of their originals, which tell the border exactly.
        settings: the histogram's bins.
        side: pixels that GrabCut works on.
    """
    variants = [settings.model_copy(update={"mask": mask}) for mask in ("none", "product")]
    seen = [
        (*(histogram(picture, variant) for variant in variants), dominant_colour(picture, size, side))
        for picture, size in zip(pictures, sizes, strict=True)
    ]
    without, masked, dominant = zip(*seen, strict=True)
    return Seen(np.stack(without), np.stack(masked), np.eye(len(TERMS), dtype=bool)[list(dominant)])


def compare(
    seen: Seen,
    labels: NDArray[np.object_],
    texts: Sequence[str],
    gallery: Gallery | None = None,
    rule: Recommend | None = None,
) -> tuple[Figure, ...]:
    """Return the figures of n products; those of the rule where a gallery of the same rows and a rule are given.

    Args:
        seen: their pictures.
        labels: (n,) within which they are ranked; None for products without.
        texts: n, in which colour words are looked for.
        gallery: embeddings and price levels.
        rule: by which they are ranked.
    """
    words = colour_words(texts)
    figures = []
    for judged_by, colours in (("dominant colour", seen.dominant), ("colour words", words)):
        rows = np.flatnonzero(colours.any(axis=1))  # a product whose colour is unknown is neither asked for nor given
        if len(rows) < LEAST_PRODUCTS:
            continue
        for ranked_by in ("colour", "rule") if gallery and rule else ("colour",):
            agreed = []  # (queries,) by variant
            for histograms in (seen.without, seen.masked):
                if ranked_by == "colour":
                    neighbours = nearest_by_colour(histograms[rows], labels[rows])
                else:
                    assert gallery and rule
                    chosen = dataclasses.replace(gallery, histograms=histograms).take(rows)
                    queries = Queries.of(chosen, np.arange(len(chosen)))
                    neighbours = recommend(queries, chosen, rule, TOP).neighbours
                agreed.append(agreement(neighbours, colours[rows]))
            counted = ~np.isnan(agreed[0])
            if counted.sum() >= LEAST_PRODUCTS:
                without, masked = (values[counted] for values in agreed)
                ratio, low, high = _ratio(masked, without)
                about = (int(counted.sum()), float(without.mean()), float(masked.mean()), ratio, low, high)
                figures.append(Figure(judged_by, ranked_by, *about))  # type: ignore[arg-type]
    return tuple(figures)


def nearest_by_colour(histograms: NDArray[np.float32], labels: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the rows (n, 5) of the most alike in colour within the label, best first; -1 where there are fewer."""
    neighbours = np.full((len(histograms), TOP), -1)
    for label in {label for label in labels if label is not None}:
        members = np.flatnonzero(labels == label)
        for at, row in enumerate(members):
            scores = colour_score(histograms[row], histograms[members])
            scores[at] = -np.inf
            best = nearest_columns(scores[None], min(TOP, len(members) - 1))[0]
            neighbours[row, : len(best)] = members[best]
    return neighbours


def agreement(neighbours: NDArray[np.int64], colours: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return for each query the share of its neighbours that have a colour in common with it; NaN where it has none.

    Args:
        neighbours: (n, k) rows, -1 where there are fewer.
        colours: (n, terms) of each row.
    """
    found = neighbours >= 0
    alike = (colours[neighbours] & colours[:, None]).any(axis=2) & found
    with np.errstate(invalid="ignore"):
        return np.asarray(alike.sum(axis=1) / found.sum(axis=1))


def _ratio(values: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the ratio of the means of paired values, and its 95 % interval by the bootstrap."""
    drawn = np.random.default_rng(SEED).integers(0, len(values), (RESAMPLES, len(values)))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = values[drawn].mean(axis=1) / others[drawn].mean(axis=1)
        low, high = np.nanpercentile(ratios, [2.5, 97.5])
        return float(values.mean() / others.mean()), float(low), float(high)


def named_colours(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the basic colour term of each pixel of an RGB picture (h, w, 3), as its place in `TERMS`: (h, w).

    By lightness, chroma and hue angle in CIELAB: greys have little chroma, brown is a dark or dull red or orange,
    pink a light red, and the rest goes by `HUES`. The bounds were set between the terms' focal colours.
    """
    lightness, a, b = cv2.split(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    term = np.select([hue < bound for bound, _ in HUES], [TERMS.index(name) for _, name in HUES], TERMS.index("pink"))
    reddish = (hue < 50) | (hue >= 345)
    term[reddish & (lightness < 65)] = TERMS.index("red")
    term[reddish & (lightness >= 65)] = TERMS.index("pink")
    dark_red = ((hue < 50) | (hue >= 350)) & (lightness < 38) & (chroma < 45)
    dark_orange = (hue >= 50) & (hue < 85) & (lightness < 58)
    dull_orange = (hue >= 40) & (hue < 85) & (chroma < 28) & (lightness < 75)
    term[dark_red | dark_orange | dull_orange] = TERMS.index("brown")
    grey = (chroma < 10) | ((chroma < 14) & (lightness > 85)) | (lightness < 18)
    term[grey] = TERMS.index("grey")
    term[grey & (lightness < 30)] = TERMS.index("black")
    term[grey & (lightness > 85)] = TERMS.index("white")
    return term.astype(np.uint8)


def dominant_colour(image: NDArray[np.uint8], size: tuple[int, int], side: int = SIDE) -> int:
    """Return the most frequent term of a product, as its place in `TERMS`.

    Args:
        image: (side, side, 3) RGB, squared.
        size: width and height of the original.
        side: pixels that GrabCut works on.
    """
    width, height = (max(1, length * len(image) // max(size)) for length in size)
    left, top = (len(image) - width) // 2, (len(image) - height) // 2
    scaled = tuple(max(8, round(length * side / len(image))) for length in (width, height))
    inner = cv2.resize(image[top : top + height, left : left + width], scaled, interpolation=cv2.INTER_AREA)
    names = named_colours(np.asarray(inner, np.uint8))
    return int(np.bincount(names[_cut_out(np.asarray(inner, np.uint8))], minlength=len(TERMS)).argmax())


def _cut_out(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return what GrabCut takes for the thing in a picture (h, w, 3); all of it where it finds next to nothing."""
    height, width = image.shape[:2]
    across, down = max(1, width // FRAME), max(1, height // FRAME)
    mask, models = np.zeros((height, width), np.uint8), (np.zeros((1, 65)), np.zeros((1, 65)))
    cv2.setRNGSeed(SEED)
    try:
        inside = (across, down, width - 2 * across, height - 2 * down)
        cv2.grabCut(image, mask, inside, *models, ROUNDS, cv2.GC_INIT_WITH_RECT)
    except cv2.error:  # of one plain colour: there is nothing to tell apart
        return np.ones((height, width), bool)
    thing = (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)
    return thing if thing.mean() > 0.02 else np.ones_like(thing)


def colour_words(texts: Sequence[str]) -> NDArray[np.bool_]:
    """Return which basic colours are named in each of n texts: (n, terms)."""
    said = np.zeros((len(texts), len(TERMS)), dtype=bool)
    for row, text in enumerate(texts):
        for word in re.findall(r"[a-z]+", text.lower()):
            if word in WORDS:
                said[row, TERMS.index(WORDS[word])] = True
    return said


def example(product_id: str, title: str | None, picture: NDArray[np.uint8]) -> Example:
    """Return a product's squared picture (side, side, 3) RGB beside what is taken for the product."""
    shown = picture.copy()
    shown[~product_mask(picture)] = PAINT
    return Example(product_id, title or product_id, picture, shown)
