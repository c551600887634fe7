"""Measure the search by words against the search for all words as substrings, over several splits.

    python benchmarks/word_search.py --home recsys-home

For each seed another quarter of the products is held out, near-duplicates together; the words' model and the map to
the pictures are trained on the rest by the default recipe. The queries are the names of the held-out products, without
the brand and without the words of their category path; once as they are, and once with two letters exchanged in the
longest word of each. Prints how often the product is among the first 10 results (recall), and the share of its level 2
of the category path among 10 results (precision; a missing result counts as wrong), mean over the seeds. The home needs
only features (`recsys run`) and is not changed. The exit code is 1 if the search by words finds 0.02 fewer products
than that for substrings without typing errors, or less than 0.9 with them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import measuring
import numpy as np
import pandas as pd
from embedding import split
from measuring import out, table
from numpy.typing import NDArray

from recsys.core.configuration import load
from recsys.core.process import set_up_process
from recsys.models.embedding.embedder import head_inputs
from recsys.models.embedding.examples import features_and_histograms, training_set
from recsys.models.embedding.recipe import Recipe, load_recipe
from recsys.models.embedding.training import train_head
from recsys.models.embedding.word_training import train_words
from recsys.models.embedding.words import texts_of
from recsys.models.word_vectors import normalize, tokens
from recsys.ranking.word_search import LearnedWords, MappedLooks, ShopTerms, WordSearch
from recsys.storage.store import Store

SUBSTRING, WORDS = "all words as substrings", "search by words"
TOP = 10
FEWER, FOUND = 0.02, 0.9


def main() -> int:
    parser = measuring.argparse.ArgumentParser(
        description=__doc__, formatter_class=measuring.argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True, metavar="FOLDER", help="a home with features")
    parser.add_argument("--seeds", type=int, default=5, help="number of splits, from seed 0 (default: %(default)s)")
    options = parser.parse_args()
    store, configuration = Store(options.home, read_only=True), load(options.home)
    examples = training_set(store, configuration)
    examples = examples[examples["view"] == 0].reset_index(drop=True)
    described = features_and_histograms(store, configuration, examples["image_digest"].tolist())
    products = store.read("products", ["product_id", "name", "brand"]).to_pandas().set_index("product_id")
    frame = examples.join(products, on="product_id")
    texts = texts_of(store).reindex(frame["product_id"]).fillna("").tolist()
    measured: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for seed in range(options.seeds):
        recipe = load_recipe("default").model_copy(update={"seed": seed})
        rows = frame.assign(held_out=split(frame["group"].to_numpy(), seed))
        search = trained(rows, texts, head_inputs(*described, recipe.colour_weight), recipe)
        queries = queries_of(rows)
        for misspelled in (False, True):
            typed = with_typing_errors(queries, seed) if misspelled else queries
            results = {
                SUBSTRING: [containing(texts, query) for query in typed],
                WORDS: [[match.row for match in search.search(query)] for query in typed],
            }
            for name, found in results.items():
                measured.setdefault((name, misspelled), []).append(figures(found, typed.index, rows))
    means = {key: np.mean(values, axis=0) for key, values in measured.items()}
    lines = [
        (name, "one in each" if misspelled else "none", f"{recall:.3f}", f"{precision:.3f}")
        for (name, misspelled), (recall, precision) in means.items()
    ]
    heads = ["search", "typing errors", f"recall at {TOP}", f"level 2, precision at {TOP}"]
    out.print(table(f"{len(frame)} products, {options.seeds} seeds", heads, lines, right=heads[2:]))
    lost = float(means[SUBSTRING, False][0] - means[WORDS, False][0])
    found_misspelled = float(means[WORDS, True][0])
    return measuring.verdict(
        (lost <= FEWER, f"at most {FEWER} fewer products than by substrings: {lost:.3f}"),
        (found_misspelled >= FOUND, f"with typing errors at least {FOUND}: {found_misspelled:.3f}"),
    )


def trained(rows: pd.DataFrame, texts: Sequence[str], inputs: NDArray[np.float32], recipe: Recipe) -> WordSearch:
    """Return the search over all products, by models that saw the products that are not held out."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = train_head(inputs, rows, recipe, checkpoint_folder=Path(folder, "pictures")).model
        embeddings = np.asarray(pictures.predict(inputs, verbose=0), np.float32)
        vectors = train_words(texts, rows, recipe, Path(folder, "words"))
    assert vectors is not None, "the products share no words"
    learned = np.flatnonzero(~rows["held_out"])
    vectors = vectors.with_pictures([texts[row] for row in learned], embeddings[learned])
    shop = ShopTerms.of(texts, vectors.terms)
    return WordSearch(shop, MappedLooks(vectors, embeddings), LearnedWords(vectors, vectors(texts)))


def queries_of(rows: pd.DataFrame) -> pd.Series:
    """Return the words of each held-out product's name without brand and category words, by row."""
    queries = {}
    for row in np.flatnonzero(rows["held_out"]):
        path = rows["category_path"].iloc[row]
        left_out = {word for text in (rows["brand"].iloc[row], *path) for word in tokens(normalize(text))}
        words = [word for word in tokens(normalize(rows["name"].iloc[row])) if word not in left_out]
        if words and len(path) >= 2:
            queries[row] = " ".join(words)
    return pd.Series(queries, dtype=object)


def with_typing_errors(queries: pd.Series, seed: int) -> pd.Series:
    """Return the queries with two neighbouring letters exchanged within the longest word of each."""
    random = np.random.default_rng(seed)

    def exchange(query: str) -> str:
        words = query.split()
        longest = max(range(len(words)), key=lambda number: len(words[number]))
        word = words[longest]
        places = [at for at in range(1, len(word) - 1) if word[at] != word[at + 1]]
        if places:
            at = int(random.choice(places))
            words[longest] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        return " ".join(words)

    return queries.map(exchange)


def containing(texts: Sequence[str], query: str) -> list[int]:
    """Return the products that contain all words of a query, in the catalogue's order."""
    return [row for row, text in enumerate(texts) if all(word in text for word in query.split())]


def figures(found: Sequence[Sequence[int]], products: pd.Index, rows: pd.DataFrame) -> tuple[float, float]:
    """Return recall of the product and precision of its level 2 among the first results, mean over the queries."""
    level_2 = [tuple(path[:2]) for path in rows["category_path"]]
    recall = [row in results[:TOP] for row, results in zip(products, found, strict=True)]
    precision = [
        sum(level_2[result] == level_2[row] for result in results[:TOP]) / TOP
        for row, results in zip(products, found, strict=True)
    ]
    return float(np.mean(recall)), float(np.mean(precision))


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
