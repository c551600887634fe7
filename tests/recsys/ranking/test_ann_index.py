"""The index against exact search: what it finds, what it is asked for, and when it is not trusted."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from recsys.core.configuration import Configuration, load
from recsys.core.tracking import tracking_uri
from recsys.models import features
from recsys.models.embedding.serving import Serving
from recsys.ranking import ann_index_building, single_query
from recsys.ranking.ann_index import AnnIndex, current_record, load_index
from recsys.ranking.ann_index_building import EXPERIMENT, ensure_index
from recsys.ranking.gallery import Gallery, Queries
from recsys.ranking.nearest_neighbours import Shortlist, search
from recsys.ranking.reranking import recommend
from recsys.storage.store import Store, embeddings_schema

PRODUCTS, NUMBERS = 3_000, 32
SERVES = Serving("drawn", None, "embeddings-drawn", "recommendations-drawn")
CONFIGURATION = load(environ={})
KINDS = ("ivf_flat", "ivf_pq", "ivf_hnsw_sq")


def configured(**wanted: object) -> Configuration:
    return load(flags={"index": {"from_products": PRODUCTS // 4, "sample": 60, **wanted}}, environ={})


def rows(start: int, vectors: NDArray[np.float32]) -> pa.Table:
    keys = pa.array([f"{start + row:06}" for row in range(len(vectors))])
    column = pa.FixedSizeListArray.from_arrays(vectors.ravel(), NUMBERS)
    return pa.table([keys, column], schema=embeddings_schema(NUMBERS))


def drawn(count: int, seed: int) -> NDArray[np.float32]:
    middles = np.random.default_rng(0).standard_normal((40, NUMBERS))
    random = np.random.default_rng(seed)
    vectors = (middles[random.integers(0, 40, count)] + 0.6 * random.standard_normal((count, NUMBERS))).astype("f4")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def _shop(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path) -> Path:
    home = tmp_path_factory.mktemp("shops") / "home"
    store = Store(home)
    for start in range(0, PRODUCTS, 1_000):  # as stages commit it: in several writes
        store.write(SERVES.embeddings, rows(start, drawn(1_000, start)))
    (home / "mlflow").mkdir()
    shutil.copy(mlflow_tables, home / "mlflow" / "mlflow.db")
    return home


@pytest.fixture
def store(_shop: Path, tmp_path: Path) -> Store:
    """A shop of its own for each test."""
    return Store(shutil.copytree(_shop, tmp_path / "home"))


def shop_of(store: Store) -> tuple[pd.DataFrame, Gallery]:
    """All embeddings but every seventh, in another order; every fifth is the picture of two products."""
    table = store.read(SERVES.embeddings)
    vectors = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(table), NUMBERS)
    row = np.random.default_rng(1).permutation(np.r_[: len(table), : len(table) : 5])
    row = row[row % 7 != 0]
    label = np.array([f"label {k}" for k in row % 3], dtype=object)
    gallery = Gallery(
        SERVES.version, np.arange(len(row)).astype(str).astype(object), label, row % 4 + 1.0, vectors[row],
        np.ones((len(row), 1), np.float32), row // 2,
    )  # fmt: skip
    return pd.DataFrame({"image_digest": np.array(table["image_digest"].to_pylist(), dtype=object)[row]}), gallery


def photos(count: int = 40) -> Queries:
    none = np.full(count, None, dtype=object)
    empty = np.ones((count, 1), np.float32)
    return Queries(SERVES.version, np.full(count, -1), none, np.full(count, 2.5), drawn(count, 99), empty)


def found(
    gallery: Gallery,
    shortlist: Shortlist | None,
    allowed: NDArray[np.bool_] | None = None,
    collapse: bool = False,
    count: int = 20,
) -> NDArray[np.int64]:
    answer = np.full((40, count), -2)
    for members, nearest, _ in search(
        photos(), gallery, count, allowed=allowed, collapse=collapse, shortlist=shortlist
    ):
        answer[members] = nearest
    return answer


def recall(truth: NDArray[np.int64], answer: NDArray[np.int64]) -> float:
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(truth, answer, strict=True)]))


@pytest.mark.parametrize("kind", KINDS)
def test_it_finds_what_it_was_measured_to_find(store: Store, kind: str) -> None:
    configuration = configured(kind=kind)
    known = ensure_index(store, configuration, SERVES)
    assert known is not None and known.is_good and known.recall >= 0.99 and known.kind == kind
    assert known.vectors == PRODUCTS and known.bytes > 0 and known.sample == 60
    frame, gallery = shop_of(store)
    shortlist = load_index(store, configuration, SERVES, frame, gallery)
    assert shortlist is load_index(store, configuration, SERVES, frame, gallery)
    for collapse in (False, True):
        truth = found(gallery, None, collapse=collapse)
        assert recall(truth, found(gallery, shortlist, collapse=collapse)) >= 0.97  # as sure as forty questions are
    wide = found(gallery, None, count=100)
    assert recall(wide, found(gallery, shortlist, count=100)) >= 0.97


def test_a_shortlist_is_short_and_of_the_gallerys_rows(store: Store) -> None:
    configuration = configured()
    ensure_index(store, configuration, SERVES)
    frame, gallery = shop_of(store)
    shortlist = load_index(store, configuration, SERVES, frame, gallery)
    assert shortlist is not None
    vector = photos().embeddings[0]
    listed = shortlist(vector, 20)
    assert listed is not None and (np.diff(listed) > 0).all() and 20 <= len(listed) < len(gallery) / 10
    nearest = np.argsort(-(gallery.embeddings @ vector))[:20]
    assert np.isin(nearest, listed).all()


@pytest.mark.parametrize("wanted", ["label", "price level", "in stock", "brand", "nothing"])
def test_what_a_filter_forbids_is_never_found_and_what_it_allows_is(store: Store, wanted: str) -> None:
    configuration = configured()
    ensure_index(store, configuration, SERVES)
    frame, gallery = shop_of(store)
    random = np.random.default_rng(2)
    allowed = {
        "label": gallery.labels == "label 1",  # a third: more than `from_products`
        "price level": gallery.price_levels == 2,  # about as many
        "in stock": random.random(len(gallery)) < 0.8,
        "brand": random.random(len(gallery)) < 0.1,  # fewer: exactly
        "nothing": np.zeros(len(gallery), dtype=bool),
    }[wanted]
    shortlist = load_index(store, configuration, SERVES, frame, gallery)
    assert shortlist is not None
    assert (shortlist(photos().embeddings[0], 20, allowed) is None) == (allowed.sum() < PRODUCTS // 4)
    truth, answer = found(gallery, None, allowed), found(gallery, shortlist, allowed)
    assert allowed[answer[answer >= 0]].all() and recall(truth, answer) >= 0.97
    part = np.flatnonzero(allowed)
    alone = photos().embeddings @ gallery.embeddings[part].T
    np.testing.assert_array_equal(truth[:, : len(part)], part[np.argsort(-alone, axis=1, kind="stable")[:, :20]])


def test_a_shortlist_that_is_too_short_is_no_answer(store: Store) -> None:
    _, gallery = shop_of(store)
    asked = []

    def shortlist(vector: NDArray[np.float32], count: int, allowed: object) -> NDArray[np.int64]:
        asked.append(count)
        return np.arange(5)

    np.testing.assert_array_equal(found(gallery, shortlist), found(gallery, None))
    assert asked == [20] * 40


def test_the_rule_ranks_what_is_on_the_shortlist(store: Store) -> None:
    configuration = configured()
    ensure_index(store, configuration, SERVES)
    frame, gallery = shop_of(store)
    shortlist = load_index(store, configuration, SERVES, frame, gallery)
    exact = recommend(photos(), gallery, configuration.recommend)
    indexed = recommend(photos(), gallery, configuration.recommend, shortlist=shortlist)
    assert (exact.neighbours == indexed.neighbours).mean() >= 0.97


def test_a_photos_question_goes_by_the_index_and_is_answered_alike(
    small_shop: Callable[..., Store], mlflow_tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"p{number}" for number in range(300)]
    store = small_shop(ids, ids)
    (store.home / "mlflow").mkdir()
    shutil.copy(mlflow_tables, store.home / "mlflow" / "mlflow.db")
    table = store.read(features.table_name(CONFIGURATION))
    vector, histogram = (np.array(table[name][7].as_py(), np.float32)[None] for name in ("embedding", "histogram"))
    monkeypatch.setattr(single_query, "describe", lambda *_: (vector, histogram))
    asked: list[int] = []
    monkeypatch.setattr(AnnIndex, "__call__", spy(AnnIndex.__call__, asked))
    indexed = configured(from_products=100)
    ensure_index(store, indexed, Serving.of(None, indexed))
    answers = [
        single_query.recommend_image(store, configuration, np.zeros((256, 256, 3), np.uint8), "photo").items
        for configuration in (CONFIGURATION, indexed)
    ]
    assert asked == [20]
    pd.testing.assert_frame_equal(*answers)
    assert answers[0]["product_id"][0] == "p7" and len(answers[0]) == CONFIGURATION.recommend.top


def spy(real: Callable[..., object], asked: list[int]) -> Callable[..., object]:
    def call(self: AnnIndex, vector: object, count: int, allowed: object = None) -> object:
        asked.append(count)
        return real(self, vector, count, allowed)

    return call


def test_a_small_shop_has_no_index(store: Store) -> None:
    configuration = configured(from_products=PRODUCTS + 1)
    assert ensure_index(store, configuration, SERVES) is None
    assert load_index(store, configuration, SERVES, *shop_of(store)) is None
    assert not store.table(SERVES.embeddings).list_indices() and not (store.home / "index").exists()


def test_an_index_that_finds_too_little_is_dropped_and_search_is_exact(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ann_index_building, "_efforts", lambda most: iter([1]))
    configuration = configured(recall=1.0, kind="ivf_pq")
    known = ensure_index(store, configuration, SERVES)
    assert known is not None and not known.is_good and known.recall < 1
    assert load_index(store, configuration, SERVES, *shop_of(store)) is None
    assert not store.table(SERVES.embeddings).list_indices()
    assert ensure_index(store, configuration, SERVES) == known  # and is not built in vain again


def test_it_is_built_anew_when_the_table_or_the_settings_change_and_only_then(store: Store) -> None:
    configuration = configured()
    first = ensure_index(store, configuration, SERVES)
    assert first is not None and ensure_index(store, configuration, SERVES) is not None
    assert first == ensure_index(store, configuration, SERVES) == current_record(store, configuration, SERVES)
    store.write(SERVES.embeddings, rows(PRODUCTS, drawn(100, 5)))
    assert current_record(store, configuration, SERVES) is None
    assert load_index(store, configuration, SERVES, *shop_of(store)) is None  # exact, until it is built anew
    second = ensure_index(store, configuration, SERVES)
    assert second is not None and second.vectors == PRODUCTS + 100 and second.version > first.version
    assert current_record(store, configured(kind="ivf_pq"), SERVES) is None
    (store.home / "index" / f"{SERVES.embeddings}.json").write_text("{")
    assert current_record(store, configuration, SERVES) is None
    assert load_index(store, configuration, SERVES, *shop_of(store)) is None


def test_what_was_measured_is_in_mlflow(store: Store) -> None:
    import mlflow

    known = ensure_index(store, configured(), SERVES)
    ensure_index(store, configured(), SERVES)  # is there: no second run
    client = mlflow.MlflowClient(tracking_uri(store.home))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert known is not None and experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    facts = {name: str(value) for name, value in dataclasses.asdict(known).items()}
    assert run.data.metrics["recall"] == known.recall and run.data.metrics["bytes"] == known.bytes
    assert run.data.params == {name: facts[name] for name in run.data.params}
    assert set(run.data.metrics) | set(run.data.params) == set(facts) and run.info.status == "FINISHED"


def test_searches_are_silent(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    configuration = configured()
    ensure_index(store, configuration, SERVES)
    shortlist = load_index(store, configuration, SERVES, *shop_of(store))
    assert shortlist is not None and shortlist(photos().embeddings[0], 20) is not None
    assert "WARN" not in "".join(capfd.readouterr())
