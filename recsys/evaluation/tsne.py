"""The t-SNE map: points in two dimensions, and how they are drawn by label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from recsys.core.configuration import Configuration
from recsys.core.plotting import INK, png, printable

PALETTE = (
    "#1f6f78", "#d9683c", "#6a4c93", "#6a994e", "#c9a227",
    "#2f6db5", "#b5446e", "#8a5a3b", "#4fb0a5", "#e08fa0",
)  # fmt: skip
MARKERS = {"o": "●", "^": "▲"}
OTHER = "#b9bdbb"
NO_LABEL = "No label"
OTHER_LABELS = "Other labels"
SEED = 12_345
PRINCIPAL_COMPONENTS = 50
"""Kept before t-SNE, as its authors do: it takes out noise and most of the time (van der Maaten & Hinton, 2008)."""
SMALLEST_MAP = 5
"""Points; t-SNE has no neighbourhoods to keep among fewer."""


@dataclass(frozen=True)
class LegendEntry:
    """How one label is drawn on the map: ten colours by two markers tell twenty labels apart."""

    label: str
    colour: str
    marker: str
    count: int


def tsne_points(embeddings: NDArray[np.float32], configuration: Configuration) -> NDArray[np.float64]:
    """Return the t-SNE map of embeddings in two dimensions: the same for the same input.

    The original's settings are perplexity 40 and 300 iterations. A perplexity is a number of neighbours, so with
    few points it is lowered to (n − 1) / 3, the most that t-SNE can honour. Fewer than 5 points, or points that
    are all the same, are laid out by their principal components instead.

    Args:
        embeddings: (n, d), d ≥ 2; the caller samples at most `tsne.sample` of them.
        configuration: its `tsne` section.

    Returns:
        (n, 2).
    """
    n = len(embeddings)
    centred = np.asarray(embeddings, dtype=np.float64)
    if n:
        centred = centred - centred.mean(axis=0)
    if n < SMALLEST_MAP or not np.ptp(centred, axis=0).any():
        return _principal_plane(centred)

    from sklearn.decomposition import PCA  # here, not above: importing scikit-learn takes a second
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    settings = configuration.tsne
    components = min(PRINCIPAL_COMPONENTS, *centred.shape)
    reduced = PCA(components, random_state=SEED).fit_transform(centred).astype(np.float32)  # (n, 50)
    tsne = TSNE(
        n_components=settings.components,
        perplexity=perplexity(n, configuration),
        max_iter=settings.iterations,
        init="pca",
        learning_rate="auto",
        random_state=SEED,
    )
    # one thread: several add up in another order each time, and spin for ever where others use the cores
    with threadpool_limits(1, user_api="openmp"):
        return np.asarray(tsne.fit_transform(reduced), dtype=np.float64)


def perplexity(n: int, configuration: Configuration) -> float:
    """Return the perplexity that n points get: the configured one, or (n − 1) / 3 where that is less."""
    return min(configuration.tsne.perplexity, max(n - 1, 0) / 3)


def _principal_plane(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first two principal coordinates (n, 2) of centred points, zero where there are fewer."""
    points = np.zeros((len(centred), 2))
    if centred.size:
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        points[:, : min(2, len(s))] = (u * s)[:, :2]
    return points


def legend(labels: Sequence[str | None]) -> list[LegendEntry]:
    """Return how each label is drawn, the most frequent first; those after the twentieth share one grey."""
    counts = Counter(label for label in labels if label is not None)
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    styles = [(colour, marker) for marker in MARKERS for colour in PALETTE]
    entries = [
        LegendEntry(label, colour, marker, counts[label])
        for label, (colour, marker) in zip(ranked, styles, strict=False)
    ]
    others = sum(counts[label] for label in ranked[len(styles) :])
    if others:
        entries.append(LegendEntry(OTHER_LABELS, OTHER, "o", others))
    unlabelled = len(labels) - counts.total()
    if unlabelled:
        entries.append(LegendEntry(NO_LABEL, OTHER, "^", unlabelled))
    return entries


def tsne_picture(points: NDArray[np.float64], labels: Sequence[str | None], *, with_legend: bool = True) -> bytes:
    """Return the map as a PNG, coloured by label.

    Args:
        points: (n, 2) of `tsne_points`.
        labels: of each point, None where it has none.
        with_legend: whether to draw the legend; the page sets its own.
    """
    entries = legend(labels)
    figure = Figure(figsize=(10.4, 7) if with_legend else (7, 6.4), dpi=130, facecolor="white")
    draw_map(figure.add_axes((0.01, 0.015, 0.74 if with_legend else 0.98, 0.97)), points, labels, entries)
    if with_legend:
        draw_legend(figure, entries, 0.755)
    return png(figure)


def draw_map(
    axes: Axes, points: NDArray[np.float64], labels: Sequence[str | None], entries: Sequence[LegendEntry]
) -> None:
    """Draw points (n, 2) into axes, each as the legend's entry for its label says."""
    drawn = {entry.label for entry in entries}
    names = np.array([NO_LABEL if label is None else label if label in drawn else OTHER_LABELS for label in labels])
    axes.set_axis_off()
    axes.margins(0.03)
    size = float(np.clip(24_000 / max(len(points), 1), 15, 60))
    for entry in reversed(entries):  # rare labels beneath, none of them behind the grey
        members = points[names == entry.label]
        axes.scatter(
            members[:, 0],
            members[:, 1],
            s=size,
            c=entry.colour,
            marker=entry.marker,
            alpha=0.82,
            linewidths=0.35,
            edgecolors="white",
            zorder=1 if entry.colour == OTHER else 2,
        )


def draw_legend(figure: Figure, entries: Sequence[LegendEntry], left: float) -> None:
    """Draw the legend into a figure, from `left` (0 to 1) on; nothing where it has no entry."""
    if not entries:
        return
    handles = [
        Line2D([], [], ls="", marker=entry.marker, ms=7, mew=0, color=entry.colour, label=printable(entry.label))
        for entry in entries
    ]
    drawn = figure.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(left, 0.5),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        labelspacing=0.75,
        handletextpad=0.3,
    )
    for text in drawn.get_texts():
        text.set_parse_math(False)
