"""The t-SNE map of embeddings in two dimensions, coloured by label."""

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
"""Principal components that t-SNE starts from, as its authors recommend: this removes noise and saves most of the time
(van der Maaten & Hinton, 2008)."""
MIN_POINTS = 5
"""Smallest number of points for t-SNE; fewer have no neighbourhoods to preserve."""


@dataclass(frozen=True)
class LegendEntry:
    """The style of one label on the map: ten colours and two markers distinguish twenty labels."""

    label: str
    colour: str
    marker: str
    count: int


def tsne_points(embeddings: NDArray[np.float32], configuration: Configuration) -> NDArray[np.float64]:
    """Compute the t-SNE map of embeddings in two dimensions. The same input gives the same map.

    The original's settings are perplexity 40 and 300 iterations. The perplexity of few points is limited, see
    `perplexity`. Fewer than 5 points, or equal points, are placed by their principal components instead.

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
    if n < MIN_POINTS or not np.ptp(centred, axis=0).any():
        return _principal_plane(centred)

    from sklearn.decomposition import PCA  # imported here because it takes a second
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
    # one thread: several threads add numbers in a random order, and busy-wait where other processes use the cores
    with threadpool_limits(1, user_api="openmp"):
        return np.asarray(tsne.fit_transform(reduced), dtype=np.float64)


def perplexity(n: int, configuration: Configuration) -> float:
    """Return the perplexity for n points: the configured one, at most (n − 1) / 3, the largest that t-SNE supports."""
    return min(configuration.tsne.perplexity, max(n - 1, 0) / 3)


def _principal_plane(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first two principal coordinates (n, 2) of centred points; zero for a missing one."""
    points = np.zeros((len(centred), 2))
    if centred.size:
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        points[:, : min(2, len(s))] = (u * s)[:, :2]
    return points


def legend(labels: Sequence[str | None]) -> list[LegendEntry]:
    """Return the style of each label, the most frequent first; labels after the twentieth share one grey."""
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
        labels: n, None for a point without a label.
        with_legend: whether to draw the legend; the report has its own.
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
    """Draw points (n, 2) into axes, each in the style of its label."""
    drawn = {entry.label for entry in entries}
    names = np.array([NO_LABEL if label is None else label if label in drawn else OTHER_LABELS for label in labels])
    axes.set_axis_off()
    axes.margins(0.03)
    size = float(np.clip(24_000 / max(len(points), 1), 15, 60))
    for entry in reversed(entries):  # rare labels below frequent ones, grey ones below all
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
    """Draw the legend into a figure, starting at `left` (0 to 1); nothing where it has no entry."""
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
