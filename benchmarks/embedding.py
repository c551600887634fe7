"""Measure the embedding recipes against the raw backbone over several splits, and the time of their trainings.

    python benchmarks/embedding.py --home recsys-home

For each seed another quarter of the products is held out, near-duplicates together; each recipe trains its head on the
rest, with the same seed; each held-out product queries all other products. Prints precision at 5 at three levels of the
category path, mean ± standard deviation over the seeds, and the mean of the differences from the raw backbone. A recipe
with `words` has a second row: the products are compared by words beside the pictures, with the weight that is best on
the training's side. The home needs only features (`recsys run`) and is not changed. The exit code is 1 if the default
recipe is not above the raw backbone by 0.03 / 0.04 / 0.04 in the mean, is below it at a level with any seed, or trains
for over 60 s.

With --views, on a home whose products have several photos (`images.views`), the measure is how often another photo of
a held-out product has this product's picture nearest: at least 0.9 in the mean and above the raw backbone with each
seed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import measuring
import numpy as np
import pandas as pd
from measuring import out, table
from numpy.typing import NDArray

from recsys.core.configuration import Colour, Evaluation, load
from recsys.core.process import set_up_process
from recsys.evaluation.retrieval_metrics import Metric, compute_metrics
from recsys.models.embedding.embedder import head_inputs
from recsys.models.embedding.examples import features_and_histograms, training_set
from recsys.models.embedding.likeness import beside_pictures, likeness_vectors
from recsys.models.embedding.recipe import Recipe, load_recipe
from recsys.models.embedding.training import train_head
from recsys.models.embedding.word_training import chosen_weight, train_words
from recsys.models.embedding.words import texts_of
from recsys.storage.store import Store

RAW, DEFAULT = "raw backbone", "default"
WITH_WORDS = ", with words"
HELD_OUT = 0.25
ABOVE = np.array([0.03, 0.04, 0.04])
SECONDS = 60
VIEW, FOUND = Metric(0, "view", 1), 0.9


def main() -> int:
    parser = measuring.argparse.ArgumentParser(
        description=__doc__, formatter_class=measuring.argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True, metavar="FOLDER", help="a home with features")
    parser.add_argument("--seeds", type=int, default=5, help="number of splits, from seed 0 (default: %(default)s)")
    parser.add_argument(
        "--recipes", nargs="+", default=[DEFAULT, "original_head"], help="recipes of heads (default: both)"
    )
    parser.add_argument("--views", action="store_true", help="evaluate with further photos of a product")
    options = parser.parse_args()
    store, configuration = Store(options.home, read_only=True), load(options.home)
    examples = training_set(store, configuration)
    features, histograms = features_and_histograms(store, configuration, examples["image_digest"].tolist())
    texts = texts_of(store).reindex(examples["product_id"]).fillna("").tolist()
    figures = (VIEW,) if options.views else tuple(Metric(level, "precision", 5) for level in (1, 2, 3))
    precisions: dict[str, list[NDArray[np.float64]]] = {name: [] for name in (RAW, *options.recipes)}
    seconds: dict[str, list[float]] = {name: [] for name in precisions}
    for seed in range(options.seeds):
        frame = examples.assign(held_out=split(examples["group"].to_numpy(), seed))
        precisions[RAW].append(means(features, frame, configuration.evaluation, figures))
        for name in options.recipes:
            recipe = load_recipe(name).model_copy(update={"seed": seed})
            inputs = head_inputs(features, histograms, recipe.colour_weight)
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                trained = train_head(inputs, frame, recipe, checkpoint_folder=Path(folder))
            seconds[name].append(time.monotonic() - began)
            vectors = np.asarray(trained.model.predict(inputs, verbose=0))
            precisions[name].append(means(vectors, frame, configuration.evaluation, figures))
            if recipe.words and not options.views:
                began = time.monotonic()
                both = with_words(vectors, inputs, texts, histograms, frame, recipe, configuration.colour)
                seconds.setdefault(f"{name}{WITH_WORDS}", []).append(time.monotonic() - began)
                precision = means(both, frame, configuration.evaluation, figures)
                precisions.setdefault(f"{name}{WITH_WORDS}", []).append(precision)
    rows = []
    for name, values in precisions.items():
        above = np.array(values) - np.array(precisions[RAW])
        for level, (mean, deviation) in enumerate(zip(np.mean(values, 0), np.std(values, 0), strict=True), 1):
            gained = f"{above[:, level - 1].mean():+.3f}" if name != RAW else ""
            took = f"{np.mean(seconds[name]):.1f}" if seconds[name] and level == 1 else ""
            what = "same product" if options.views else str(level)
            rows.append((name if level == 1 else "", what, f"{mean:.3f} ± {deviation:.3f}", gained, took))
    metric = "recall at 1" if options.views else "precision at 5"
    heads = ["model", "level", metric, "above raw", "seconds"]
    held_out = round(HELD_OUT * examples["group"].nunique())
    what = f"{len(examples)} pictures, {held_out} of their groups held out, {options.seeds} seeds"
    out.print(table(what, heads, rows, right=heads[1:]))
    if DEFAULT not in precisions:
        return 0
    gains = np.array(precisions[DEFAULT]) - np.array(precisions[RAW])
    slowest = max(seconds[DEFAULT])
    if options.views:
        found = float(np.mean(precisions[DEFAULT]))
        return measuring.verdict(
            (found >= FOUND, f"at least {FOUND} in the mean: {found:.3f}"),
            (bool((gains > 0).all()), f"above raw with each seed; least: {gains.min():+.3f}"),
        )
    return measuring.verdict(
        (bool((gains.mean(0) >= ABOVE).all()), f"above raw by {ABOVE.tolist()} in the mean"),
        (bool((gains >= 0).all()), f"never below raw; least: {gains.min(0).round(3).tolist()}"),
        (slowest <= SECONDS, f"trained in {SECONDS} s: {slowest:.1f}"),
    )


def with_words(
    pictures: NDArray[np.float32],
    inputs: NDArray[np.float32],
    texts: Sequence[str],
    histograms: NDArray[np.float32],
    frame: pd.DataFrame,
    recipe: Recipe,
    colour: Colour,
) -> NDArray[np.float32]:
    """Return vectors whose cosines are the likeness by pictures and words, as a training learns it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        words = train_words(texts, frame, recipe, folder / "words")
        if words is None:
            return pictures
        weight = chosen_weight(lambda: inputs, texts, frame, recipe, folder)
    return likeness_vectors(pictures, *beside_pictures(words(texts), histograms, weight, colour))


def split(groups: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Return which pictures are held out, whole groups drawn by lot."""
    drawn = np.random.default_rng(seed).permutation(np.unique(groups))
    return np.isin(groups, drawn[: round(HELD_OUT * len(drawn))])


def means(
    vectors: NDArray[np.float32], frame: pd.DataFrame, settings: Evaluation, figures: Sequence[Metric]
) -> NDArray[np.float64]:
    """Return the mean of each figure over the held-out queries that have it."""
    judged = compute_metrics(vectors, frame, settings)
    return np.array([np.nanmean(judged.column(figure)) for figure in figures])


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
