"""Pictures of what a training did: t-SNE before and after, triplets that violate the margin, queries that changed.

All give PNG bytes. Rows are those of the frame that was judged (`retrieval_metrics.judge`); whoever draws
reads only the pictures of the rows that are shown, which each `Triplet` and `Change` names.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Sheet
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.plotting import INK, MUTED, png, printable
from recsys.evaluation import blockwise_search as search
from recsys.evaluation.evaluation_set import Judged, pictures_of
from recsys.evaluation.retrieval_metrics import TOP, Figure, Judgement, values_at_level
from recsys.evaluation.tsne import SEED, draw_legend, draw_map, legend, tsne_points
from recsys.storage.store import Store

RIGHT, WRONG = "#3f8f5a", "#c0392b"

# a sheet of rows, in inches
MARGIN, HEAD, TILE, GAP, CAPTION, ROW_GAP = 0.3, 0.34, 1.1, 0.12, 0.5, 0.16
SPACE = 0.38  # between the parts of a row
CAPTION_LETTERS, CAPTION_LINES = 22, 3


@dataclass(frozen=True)
class Triplet:
    """An anchor, and of its value's products the farthest, of the others' the nearest, which is not far enough.

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
        """The rows whose pictures are shown."""
        return self.anchor, self.positive, self.negative


@dataclass(frozen=True)
class Change:
    """A query and what two models find for it.

    Attributes:
        query: its row.
        before, after: rows of the nearest.
        precision_before, precision_after: at 5, at the level that was asked for.
    """

    query: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    precision_before: float
    precision_after: float

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows whose pictures are shown."""
        return self.query, *self.before, *self.after


def pictures_of_training(
    store: Store,
    configuration: Configuration,
    judged: Judged,
    judgements: Mapping[str, Judgement],
    before: str,
    after: str,
    level: int = 2,
) -> dict[str, bytes]:
    """Return the pictures of what a training changed, by name; one that has nothing to show is absent.

    tsne-before-after   the held-out products by both models, at most `tsne.sample` of them
    triplets            that violate `embedding.margin` in the later model
    gained, lost        the queries whose precision at 5 rose and fell most

    Args:
        store: of the home, for the photos.
        configuration: t-SNE and the margin.
        judged: with both models.
        judgements: of both.
        before, after: their names, such as champion and challenger.
        level: of the category path.
    """
    frame = judged.frame
    rows = np.flatnonzero(frame["held_out"] & (frame["view"] == 0))
    if len(rows) > configuration.tsne.sample:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, configuration.tsne.sample, replace=False))
    earlier, later = (judged.models[name][rows] for name in (before, after))
    labels = frame["label"].iloc[rows].tolist()
    drawn = {"tsne-before-after": tsne_before_after(earlier, later, labels, configuration, (before, after))}
    triplets = violating_triplets(judged.models[after], frame, level, configuration.embedding.margin)
    gained, lost = changes(judgements[before], judgements[after], level)
    shown = sorted({row for each in [t.rows for t in triplets] + [c.rows for c in gained + lost] for row in each})
    photos = dict(zip(shown, pictures_of(store, frame["image_digest"].iloc[shown].tolist()), strict=True))
    if triplets:
        drawn["triplets"] = triplets_picture(triplets, frame, level, photos)
    for name, side in (("gained", gained), ("lost", lost)):
        if side:
            drawn[name] = changes_picture(side, frame, level, photos, (before, after))
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
        labels: of each picture, None where it has none.
        configuration: its section `tsne`, the original's perplexity 40 and 300 iterations.
        titles: of the two maps.
    """
    entries = legend(labels)
    sheet = Sheet(figsize=(15.4, 6.6), dpi=120, facecolor="white")
    for left, vectors, title in zip((0.005, 0.415), (before, after), titles, strict=True):
        axes = sheet.add_axes((left, 0.01, 0.4, 0.93))
        draw_map(axes, tsne_points(vectors, configuration), labels, entries)
        sheet.text(left + 0.01, 0.955, printable(title), fontsize=13, weight="bold", color=INK, parse_math=False)
    draw_legend(sheet, entries, 0.825)
    return png(sheet)


def violating_triplets(
    embeddings: NDArray[np.float32], frame: pd.DataFrame, level: int, margin: float, count: int = 12
) -> list[Triplet]:
    """Return triplets of held-out anchors with d(a, p) + margin > d(a, n), the worst first, no two of one group.

    Args:
        embeddings: (n, d) float32 of unit length.
        frame: n pictures, see `judge`; near-duplicates of the anchor are neither positive nor negative.
        level: of the category path, from 1: whose values make positives and negatives.
        margin: of the loss, a Euclidean distance.
        count: at most.
    """
    codes = values_at_level(frame["category_path"].tolist(), level)
    groups = frame["group"].to_numpy(dtype=np.int64)
    known = np.flatnonzero(codes >= 0)
    anchors = np.flatnonzero((codes >= 0) & frame["held_out"].to_numpy(dtype=bool))
    found: list[tuple[float, int, int, int, float, float]] = []
    for block, similarity in search.similarities(embeddings, anchors, known, groups):
        rows = anchors[block]
        same = codes[rows, None] == codes[known]
        left_out = np.isneginf(similarity)
        farthest = np.where(same & ~left_out, similarity, np.inf)
        nearest = np.where(same, -np.inf, similarity)
        positive, negative = farthest.argmin(axis=1), nearest.argmax(axis=1)
        along = np.arange(len(rows))
        p, n = (_distance(each) for each in (farthest[along, positive], nearest[along, negative]))
        for i in np.flatnonzero(np.isfinite(p) & np.isfinite(n) & (p + margin > n)):
            found.append((n[i] - p[i], rows[i], known[positive[i]], known[negative[i]], p[i], n[i]))
    shown: dict[int, Triplet] = {}
    for _, anchor, p_row, n_row, to_p, to_n in sorted(found):
        if groups[anchor] not in shown and len(shown) < count:
            shown[groups[anchor]] = Triplet(int(anchor), int(p_row), int(n_row), float(to_p), float(to_n))
    return list(shown.values())


def changes(before: Judgement, after: Judgement, level: int, count: int = 8) -> tuple[list[Change], list[Change]]:
    """Return the queries that gained and those that lost most precision at 5, no two of one group.

    Those that gained or lost as much are told apart by their MAP@R.

    Args:
        before, after: two models, judged by the same frame, say champion and challenger.
        level: of the category path, from 1.
        count: of each, at most.
    """
    precise, ranked = Figure(level, "precision", TOP), Figure(level, "map_at_r", 0)
    difference = after.column(precise) - before.column(precise)
    finer = after.column(ranked) - before.column(ranked)
    sides = []
    for sign in (1, -1):
        order = np.lexsort((-sign * finer, -sign * difference))
        shown: dict[int, Change] = {}
        for at in order[(sign * difference)[order] > 0]:
            if after.groups[at] not in shown and len(shown) < count:
                shown[after.groups[at]] = Change(
                    query=int(after.queries[at]),
                    before=tuple(int(row) for row in before.neighbours[at] if row >= 0),
                    after=tuple(int(row) for row in after.neighbours[at] if row >= 0),
                    precision_before=float(before.column(precise)[at]),
                    precision_after=float(after.column(precise)[at]),
                )
        sides.append(list(shown.values()))
    return sides[0], sides[1]


def triplets_picture(
    triplets: Sequence[Triplet], frame: pd.DataFrame, level: int, pictures: Mapping[int, NDArray[np.uint8]]
) -> bytes:
    """Return triplets as a sheet, two a row.

    Args:
        triplets: of `violating_triplets`.
        frame: as there.
        level: as there; the value of each picture is written beneath it.
        pictures: of every row of the triplets, (side, side, 3) uint8 RGB.

    Raises:
        ValueError: there are no triplets.
    """
    rows = []
    for start in range(0, len(triplets), 2):
        parts = [
            [
                Cell(pictures[t.anchor], INK, "anchor", _value(frame, t.anchor, level)),
                Cell(pictures[t.positive], RIGHT, f"positive  {t.to_positive:.2f}", _value(frame, t.positive, level)),
                Cell(pictures[t.negative], WRONG, f"negative  {t.to_negative:.2f}", _value(frame, t.negative, level)),
            ]
            for t in triplets[start : start + 2]
        ]
        rows.append(parts)
    return _sheet(
        rows, [f"Too near a negative: distances in the embedding; positive is the same value at level {level}"]
    )


def changes_picture(
    shown: Sequence[Change],
    frame: pd.DataFrame,
    level: int,
    pictures: Mapping[int, NDArray[np.uint8]],
    titles: tuple[str, str] = ("champion", "challenger"),
) -> bytes:
    """Return queries with what two models find for them as a sheet, a query a row; what is right is framed green.

    Args:
        shown: one side of `changes`.
        frame: that was judged.
        level: as there.
        pictures: of every row of the changes, (side, side, 3) uint8 RGB.
        titles: of the two models.

    Raises:
        ValueError: there is no query.
    """
    codes = values_at_level(frame["category_path"].tolist(), level)

    def found(rows: Sequence[int], query: int) -> list[Cell]:
        tones = [RIGHT if codes[row] == codes[query] else WRONG for row in rows]
        return [Cell(pictures[row], tone, "", _value(frame, row, level)) for row, tone in zip(rows, tones, strict=True)]

    rows = []
    for change in shown:
        moved = f"{change.precision_before:.1f} → {change.precision_after:.1f}"
        query = Cell(pictures[change.query], INK, moved, _value(frame, change.query, level))
        rows.append([[query], found(change.before, change.query), found(change.after, change.query)])
    return _sheet(rows, [f"query, level {level}", *titles])


@dataclass(frozen=True, eq=False)
class Cell:
    """One picture of a sheet, the colour of its frame, a bold line and a text beneath it."""

    picture: NDArray[np.uint8]
    frame: str
    bold: str
    text: str


def _sheet(rows: Sequence[Sequence[Sequence[Cell]]], headings: Sequence[str]) -> bytes:
    """Return rows of parts of cells as a PNG, each part beneath its heading."""
    if not rows:
        raise ValueError("a sheet needs at least one row")
    widths = [max(len(row[part]) for row in rows if part < len(row)) for part in range(max(map(len, rows)))]
    lefts = [MARGIN]
    for cells in widths:
        lefts.append(lefts[-1] + cells * (TILE + GAP) - GAP + SPACE)
    width, row_height = lefts[-1] - SPACE + MARGIN, TILE + CAPTION + ROW_GAP
    height = 2 * MARGIN + HEAD + len(rows) * row_height - ROW_GAP
    sheet = Sheet(figsize=(width, height), dpi=130, facecolor="white")
    canvas = sheet.add_axes((0, 0, 1, 1))  # in inches, from the top left
    canvas.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    canvas.set_axis_off()

    def write(x: float, y: float, text: str, size: float, colour: str, weight: str = "normal") -> None:
        style = {"fontsize": size, "color": colour, "fontweight": weight}
        canvas.text(x, y, printable(text), va="top", parse_math=False, **style)  # type: ignore[arg-type]

    for left, heading in zip(lefts, headings, strict=False):
        write(left, MARGIN, heading, 9, INK, "bold")
    for number, row in enumerate(rows):
        top = MARGIN + HEAD + number * row_height
        for left, part in zip(lefts, row, strict=False):
            for place, cell in enumerate(part):
                x = left + place * (TILE + GAP)
                extent = (x, x + TILE, top + TILE, top)
                canvas.imshow(cell.picture, extent=extent, aspect="auto", interpolation="antialiased")
                line = 1 if cell.frame == INK else 2
                canvas.add_patch(Rectangle((x, top), TILE, TILE, fill=False, edgecolor=cell.frame, linewidth=line))
                y = top + TILE + 0.06
                if cell.bold:
                    write(x, y, cell.bold, 7, INK, "bold")
                    y += 0.14
                left_lines = CAPTION_LINES - bool(cell.bold)
                for said in textwrap.wrap(cell.text, CAPTION_LETTERS, max_lines=left_lines, placeholder=" …"):
                    write(x, y, said, 6.2, MUTED)
                    y += 0.125
    return png(sheet)


def _value(frame: pd.DataFrame, row: int, level: int) -> str:
    """Return what a picture's category path says from the level before the one asked for on."""
    path = list(frame["category_path"].iloc[row])
    return " › ".join(path[max(0, level - 2) : level]) or "no category"


def _distance(cosine: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the Euclidean distance of unit vectors by their cosine; not finite where that is not."""
    return np.where(np.isfinite(cosine), np.sqrt(np.maximum(2 - 2 * cosine.astype(np.float64), 0)), np.inf)
