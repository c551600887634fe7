"""Pictures of what a training changed: t-SNE before and after, triplets that violate the margin, changed queries.

All are PNG bytes. Rows are those of the evaluated frame (`retrieval_metrics.compute_metrics`). A caller reads only the
photos of the rows that are drawn, which each `Triplet` and `QueryChange` names.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.plotting import INK, MUTED, png, printable, write
from recsys.evaluation.blockwise_search import similarities
from recsys.evaluation.evaluation_set import EvaluationSet, read_pictures
from recsys.evaluation.retrieval_metrics import TOP, Metric, RetrievalMetrics, values_at_level
from recsys.evaluation.tsne import SEED, draw_legend, draw_map, legend, tsne_points
from recsys.storage.store import Store

RIGHT, WRONG = "#3f8f5a", "#c0392b"

# layout of a sheet, in inches
MARGIN, HEAD, TILE, GAP, CAPTION, ROW_GAP = 0.3, 0.34, 1.1, 0.12, 0.5, 0.16
SPACE = 0.38  # between the parts of a row
CAPTION_LETTERS, CAPTION_LINES = 22, 3

T = TypeVar("T")


@dataclass(frozen=True)
class Triplet:
    """An anchor, the farthest product with its value, and the nearest with another value, which is too near.

    Attributes:
        anchor, positive, negative: rows.
        to_positive, to_negative: Euclidean distances of unit vectors, 0 to 2.
    """

    anchor: int
    positive: int
    negative: int
    to_positive: float
    to_negative: float

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows whose photos are drawn."""
        return self.anchor, self.positive, self.negative


@dataclass(frozen=True)
class QueryChange:
    """A query and its nearest neighbours by two models.

    Attributes:
        query: its row.
        before, after: rows of the nearest.
        precision_before, precision_after: at 5, at one level.
    """

    query: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    precision_before: float
    precision_after: float

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows whose photos are drawn."""
        return self.query, *self.before, *self.after


def training_pictures(
    store: Store,
    configuration: Configuration,
    evaluation_set: EvaluationSet,
    metrics: Mapping[str, RetrievalMetrics],
    before: str,
    after: str,
    level: int = 2,
) -> dict[str, bytes]:
    """Return the pictures of what a training changed, by name; without those that have nothing to show.

    tsne-before-after   the held-out products by both models, at most `tsne.sample` of them
    triplets            that violate `embedding.margin` in the later model
    gained, lost        the queries whose precision at 5 rose and fell most

    Args:
        store: the home's tables, for the photos.
        configuration: t-SNE and the margin.
        evaluation_set: with both models.
        metrics: of both models.
        before, after: the models' names, such as champion and challenger.
        level: of the category path.
    """
    frame = evaluation_set.frame
    rows = np.flatnonzero(frame["held_out"] & (frame["view"] == 0))
    if len(rows) > configuration.tsne.sample:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, configuration.tsne.sample, replace=False))
    earlier, later = (evaluation_set.models[name][rows] for name in (before, after))
    labels = frame["label"].iloc[rows].tolist()
    drawn = {"tsne-before-after": tsne_before_after(earlier, later, labels, configuration, (before, after))}
    triplets = violating_triplets(evaluation_set.models[after], frame, level, configuration.embedding.margin)
    gained, lost = changed_queries(metrics[before], metrics[after], level)
    parts: list[Triplet | QueryChange] = [*triplets, *gained, *lost]
    photo_rows = sorted({row for part in parts for row in part.rows})
    digests = frame["image_digest"].iloc[photo_rows].tolist()
    photos = dict(zip(photo_rows, read_pictures(store, digests), strict=True))
    if triplets:
        drawn["triplets"] = triplets_picture(triplets, frame, level, photos)
    for name, changes in (("gained", gained), ("lost", lost)):
        if changes:
            drawn[name] = changes_picture(changes, frame, level, photos, (before, after))
    return drawn


def tsne_before_after(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    labels: Sequence[str | None],
    configuration: Configuration,
    titles: tuple[str, str] = ("before", "after"),
) -> bytes:
    """Return the t-SNE maps of the same pictures by two models, side by side.

    Args:
        before, after: (n, d) and (n, e), at most `tsne.sample` of them.
        labels: n, None for a picture without a label.
        configuration: its section `tsne`, by default the original's perplexity 40 and 300 iterations.
        titles: of the two maps.
    """
    entries = legend(labels)
    sheet = Figure(figsize=(15.4, 6.6), dpi=120, facecolor="white")
    for left, vectors, title in zip((0.005, 0.415), (before, after), titles, strict=True):
        axes = sheet.add_axes((left, 0.01, 0.4, 0.93))
        draw_map(axes, tsne_points(vectors, configuration), labels, entries)
        sheet.text(left + 0.01, 0.955, printable(title), fontsize=13, weight="bold", color=INK, parse_math=False)
    draw_legend(sheet, entries, 0.825)
    return png(sheet)


def violating_triplets(
    embeddings: NDArray[np.float32], frame: pd.DataFrame, level: int, margin: float, count: int = 12
) -> list[Triplet]:
    """Return triplets of held-out anchors with d(a, p) + margin > d(a, n), the worst first, one per group.

    Args:
        embeddings: (n, d) float32 of unit length.
        frame: n pictures, see `compute_metrics`; near-duplicates of the anchor are neither positive nor negative.
        level: of the category path, from 1; its values make positives and negatives.
        margin: of the loss, a Euclidean distance.
        count: largest number of triplets.
    """
    codes = values_at_level(frame["category_path"].tolist(), level)
    groups = frame["group"].to_numpy(dtype=np.int64)
    known = np.flatnonzero(codes >= 0)
    anchors = np.flatnonzero((codes >= 0) & frame["held_out"].to_numpy(dtype=bool))
    violating: list[tuple[float, Triplet]] = []
    for block, similarity in similarities(embeddings, anchors, known, groups):
        rows = anchors[block]
        same = codes[rows, None] == codes[known]
        farthest = np.where(same & ~np.isneginf(similarity), similarity, np.inf)
        nearest = np.where(same, -np.inf, similarity)
        positive, negative = farthest.argmin(axis=1), nearest.argmax(axis=1)
        lines = np.arange(len(rows))
        p, n = _distance(farthest[lines, positive]), _distance(nearest[lines, negative])
        for i in np.flatnonzero(np.isfinite(p) & np.isfinite(n) & (p + margin > n)):
            triplet_rows = (int(rows[i]), int(known[positive[i]]), int(known[negative[i]]))
            violating.append((n[i] - p[i], Triplet(*triplet_rows, float(p[i]), float(n[i]))))
    violating.sort(key=lambda item: (item[0], item[1].rows))
    return _one_per_group(((groups[triplet.anchor], triplet) for _, triplet in violating), count)


def changed_queries(
    before: RetrievalMetrics, after: RetrievalMetrics, level: int, count: int = 8
) -> tuple[list[QueryChange], list[QueryChange]]:
    """Return the queries that gained and those that lost most precision at 5, one per group.

    Queries with equal changes are ordered by their change of MAP@R.

    Args:
        before, after: the metrics of two models on the same frame, such as champion and challenger.
        level: of the category path, from 1.
        count: largest number of each.
    """
    precision, map_at_r = Metric(level, "precision", TOP), Metric(level, "map_at_r", 0)
    difference = after.column(precision) - before.column(precision)
    finer_difference = after.column(map_at_r) - before.column(map_at_r)

    def change(query: int) -> QueryChange:
        return QueryChange(
            query=int(after.queries[query]),
            before=tuple(int(row) for row in before.neighbours[query] if row >= 0),
            after=tuple(int(row) for row in after.neighbours[query] if row >= 0),
            precision_before=float(before.column(precision)[query]),
            precision_after=float(after.column(precision)[query]),
        )

    sides = []
    for sign in (1, -1):
        order = np.lexsort((-sign * finer_difference, -sign * difference))
        order = order[(sign * difference)[order] > 0]
        shown = _one_per_group(((after.groups[query], query) for query in order), count)
        sides.append([change(query) for query in shown])
    return sides[0], sides[1]


def _one_per_group(items: Iterable[tuple[int, T]], count: int) -> list[T]:
    """Return the first item of each group, at most `count`."""
    first: dict[int, T] = {}
    for group, item in items:
        if len(first) < count:
            first.setdefault(group, item)
    return list(first.values())


def triplets_picture(
    triplets: Sequence[Triplet], frame: pd.DataFrame, level: int, photos: Mapping[int, NDArray[np.uint8]]
) -> bytes:
    """Return triplets as a sheet, two per row.

    Args:
        triplets: of `violating_triplets`.
        frame: as there.
        level: as there; the value of each picture is its caption.
        photos: of every row of the triplets, (side, side, 3) uint8 RGB.

    Raises:
        ValueError: there are no triplets.
    """

    def cells(triplet: Triplet) -> list[Cell]:
        frames = (INK, RIGHT, WRONG)
        titles = ("anchor", f"positive  {triplet.to_positive:.2f}", f"negative  {triplet.to_negative:.2f}")
        return [
            Cell(photos[row], colour, title, _caption(frame, row, level))
            for row, colour, title in zip(triplet.rows, frames, titles, strict=True)
        ]

    rows = [[cells(triplet) for triplet in triplets[start : start + 2]] for start in range(0, len(triplets), 2)]
    return _sheet(
        rows, [f"Too near a negative: distances in the embedding; positive is the same value at level {level}"]
    )


def changes_picture(
    changes: Sequence[QueryChange],
    frame: pd.DataFrame,
    level: int,
    photos: Mapping[int, NDArray[np.uint8]],
    titles: tuple[str, str] = ("champion", "challenger"),
) -> bytes:
    """Return queries with their neighbours by two models as a sheet, a query per row; relevant ones in a green frame.

    Args:
        changes: one list of `changed_queries`.
        frame: the evaluated frame.
        level: as there.
        photos: of every row of the changes, (side, side, 3) uint8 RGB.
        titles: of the two models.

    Raises:
        ValueError: there is no query.
    """
    codes = values_at_level(frame["category_path"].tolist(), level)

    def neighbours(rows: Sequence[int], query: int) -> list[Cell]:
        colours = [RIGHT if codes[row] == codes[query] else WRONG for row in rows]
        return [
            Cell(photos[row], colour, "", _caption(frame, row, level))
            for row, colour in zip(rows, colours, strict=True)
        ]

    rows = []
    for change in changes:
        title = f"{change.precision_before:.1f} → {change.precision_after:.1f}"
        query = Cell(photos[change.query], INK, title, _caption(frame, change.query, level))
        rows.append([[query], neighbours(change.before, change.query), neighbours(change.after, change.query)])
    return _sheet(rows, [f"query, level {level}", *titles])


@dataclass(frozen=True, eq=False)
class Cell:
    """One photo of a sheet, the colour of its frame, and a bold title and a caption below it."""

    photo: NDArray[np.uint8]
    colour: str
    title: str
    caption: str


def _sheet(rows: Sequence[Sequence[Sequence[Cell]]], headings: Sequence[str]) -> bytes:
    """Return rows of parts of cells as a PNG, each part below its heading."""
    if not rows:
        raise ValueError("a sheet needs at least one row")
    widths = [max(len(row[part]) for row in rows if part < len(row)) for part in range(max(map(len, rows)))]
    lefts = [MARGIN]
    for cells in widths:
        lefts.append(lefts[-1] + cells * (TILE + GAP) - GAP + SPACE)
    width, row_height = lefts[-1] - SPACE + MARGIN, TILE + CAPTION + ROW_GAP
    height = 2 * MARGIN + HEAD + len(rows) * row_height - ROW_GAP
    sheet = Figure(figsize=(width, height), dpi=130, facecolor="white")
    canvas = sheet.add_axes((0, 0, 1, 1))  # in inches, from the top left
    canvas.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    canvas.set_axis_off()
    for left, heading in zip(lefts, headings, strict=False):
        write(canvas, left, MARGIN, heading, size=9, weight="bold")
    for number, row in enumerate(rows):
        top = MARGIN + HEAD + number * row_height
        for left, part in zip(lefts, row, strict=False):
            for position, cell in enumerate(part):
                _draw_cell(canvas, left + position * (TILE + GAP), top, cell)
    return png(sheet)


def _draw_cell(canvas: Axes, x: float, top: float, cell: Cell) -> None:
    """Draw a photo with its frame, title and caption."""
    canvas.imshow(cell.photo, extent=(x, x + TILE, top + TILE, top), aspect="auto", interpolation="antialiased")
    line = 1 if cell.colour == INK else 2
    canvas.add_patch(Rectangle((x, top), TILE, TILE, fill=False, edgecolor=cell.colour, linewidth=line))
    y = top + TILE + 0.06
    if cell.title:
        write(canvas, x, y, cell.title, size=7, weight="bold")
        y += 0.14
    max_lines = CAPTION_LINES - bool(cell.title)
    for text in textwrap.wrap(cell.caption, CAPTION_LETTERS, max_lines=max_lines, placeholder=" …"):
        write(canvas, x, y, text, size=6.2, colour=MUTED)
        y += 0.125


def _caption(frame: pd.DataFrame, row: int, level: int) -> str:
    """Return a picture's category path at a level and the level above it."""
    path = list(frame["category_path"].iloc[row])
    return " › ".join(path[max(0, level - 2) : level]) or "no category"


def _distance(cosine: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the Euclidean distance of unit vectors from their cosine; inf where the cosine is not finite."""
    return np.where(np.isfinite(cosine), np.sqrt(np.maximum(2 - 2 * cosine.astype(np.float64), 0)), np.inf)
