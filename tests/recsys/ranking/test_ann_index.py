"""The approximate index against exact search: its recall, its filters, and when it is not used."""

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
from recsys.storage import records
from recsys.storage.schemas import embeddings_schema
from recsys.storage.store import Store

pytestmark = pytest.mark.slow

PRODUCTS, NUMBERS = 3_000, 32
SERVES = Serving("drawn", None, "embeddings-drawn", "recommendations-drawn")
CONFIGURATION = load(environ={})
KINDS = ("ivf_flat", "ivf_pq", "ivf_hnsw_sq")


def configured(**settings: object) -> Configuration:
    return load(flags={"index": {"from_products": PRODUCTS // 4, "sample": 60, **settings}}, environ={})


def table_rows(start: int, vectors: NDArray[np.float32]) -> pa.Table:
    keys = pa.array([f"{start + row:06}" for row in range(len(vectors))])
    column = pa.FixedSizeListArray.from_arrays(vectors.ravel(), NUMBERS)
    return pa.table([keys, column], schema=embeddings_schema(NUMBERS))


def random_vectors(count: int, seed: int) -> NDArray[np.float32]:
    middles = np.random.default_rng(0).standard_normal((40, NUMBERS))
    random = np.random.default_rng(seed)
    vectors = (middles[random.integers(0, 40, count)] + 0.6 * random.standard_normal((count, NUMBERS))).astype("f4")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def indexed_home(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: Path) -> Path:
    home = tmp_path_factory.mktemp("shops") / "home"
    store = Store(home)
    for start in range(0, PRODUCTS, 1_000):  # several commits, as by the stages
        store.write(SERVES.embeddings, table_rows(start, random_vectors(1_000, start)))
    (home / "mlflow").mkdir()
    shutil.copy(mlflow_tables, home / "mlflow" / "mlflow.db")
    return home


@pytest.fixture
def store(indexed_home: Path, tmp_path: Path) -> Store:
    """A copy of the home for each test."""
    return Store(shutil.copytree(indexed_home, tmp_path / "home"))


def load_shop(store: Store) -> tuple[pd.DataFrame, Gallery]:
    """Return a shop of all embeddings except every seventh, in another order; every fifth belongs to two products."""
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
    return Queries(SERVES.version, np.full(count, -1), none, np.full(count, 2.5), random_vectors(count, 99), empty)


def search_all(
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
def test_the_index_reaches_the_measured_recall(store: Store, kind: str) -> None:
    configuration = configured(kind=kind)
    known = ensure_index(store, configuration, SERVES)
    assert known is not None and known.is_good and known.recall >= 0.99 and known.kind == kind
    assert known.vectors == PRODUCTS and known.bytes > 0 and known.sample == 60
    frame, gallery = load_shop(store)
    shortlist = load_index(store, configuration, SERVES, frame, gallery)
    assert shortlist is load_index(store, configuration, SERVES, frame, gallery)
    for collapse in (False, True):
        truth = search_all(gallery, None, collapse=collapse)
        assert (
            recall(truth, search_all(gallery, shortlist, collapse=collapse)) >= 0.97
        )  # forty queries are a small sample
    wide = search_all(gallery, None, count=100)
    assert recall(wide, search_all(gallery, shortlist, count=100)) >= 0.97


def test_a_shortlist_is_short_and_contains_the_nearest_rows(store: Store) -> None:
    configuration = configured()
    ensure_index(store, configuration, SERVES)
    frame, gallery = load_shop(store)
    shortlist = load_index(store, configuration, SERVES, frame, gallery)
    assert shortlist is not None
    vector = photos().embeddings[0]
    rows = shortlist(vector, 20)
    assert rows is not None and (np.diff(rows) > 0).all() and 20 <= len(rows) < len(gallery) / 10
    nearest = np.argsort(-(gallery.embeddings @ vector))[:20]
    assert np.isin(nearest, rows).all()


@pytest.mark.parametrize("filtered_by", ["label", "price level", "in stock", "brand", "nothing"])
def test_a_filter_excludes_forbidden_products_and_keeps_the_recall(store: Store, filtered_by: str) -> None:
    configuration = configured()
    ensure_index(store, configuration, SERVES)
    frame, gallery = load_shop(store)
    random = np.random.default_rng(2)
    allowed = {
        "label": gallery.labels == "label 1",  # a third, more than `from_products`
        "price level": gallery.price_levels == 2,  # about `from_products`
        "in stock": random.random(len(gallery)) < 0.8,
        "brand": random.random(len(gallery)) < 0.1,  # fewer, so search is exact
        "nothing": np.zeros(len(gallery), dtype=bool),
    }[filtered_by]
    shortlist = load_index(store, configuration, SERVES, frame, gallery)
    assert shortlist is not None
    assert (shortlist(photos().embeddings[0], 20, allowed) is None) == (allowed.sum() < PRODUCTS // 4)
    truth, answer = search_all(gallery, None, allowed), search_all(gallery, shortlist, allowed)
    assert allowed[answer[answer >= 0]].all() and recall(truth, answer) >= 0.97
    part = np.flatnonzero(allowed)
    alone = photos().embeddings @ gallery.embeddings[part].T
    np.testing.assert_array_equal(truth[:, : len(part)], part[np.argsort(-alone, axis=1, kind="stable")[:, :20]])


def test_a_query_with_a_too_short_shortlist_is_searched_exactly(store: Store) -> None:
    _, gallery = load_shop(store)
    counts = []

    def shortlist(vector: NDArray[np.float32], count: int, allowed: object) -> NDArray[np.int64]:
        counts.append(count)
        return np.arange(5)

    np.testing.assert_array_equal(search_all(gallery, shortlist), search_all(gallery, None))
    assert counts == [20] * 40


def test_the_rule_reranks_the_shortlist(store: Store) -> None:
    configuration = configured()
    ensure_index(store, configuration, SERVES)
    frame, gallery = load_shop(store)
    shortlist = load_index(store, configuration, SERVES, frame, gallery)
    exact = recommend(photos(), gallery, configuration.recommend)
    indexed = recommend(photos(), gallery, configuration.recommend, shortlist=shortlist)
    assert (exact.neighbours == indexed.neighbours).mean() >= 0.97


def test_a_photo_is_searched_in_the_index_with_the_same_answer(
    small_shop: Callable[..., Store], mlflow_tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"p{number}" for number in range(300)]
    store = small_shop(ids, ids)
    (store.home / "mlflow").mkdir()
    shutil.copy(mlflow_tables, store.home / "mlflow" / "mlflow.db")
    table = store.read(features.table_name(CONFIGURATION))
    vector, histogram = (np.array(table[name][7].as_py(), np.float32)[None] for name in ("embedding", "histogram"))
    monkeypatch.setattr(single_query, "describe", lambda *_: (vector, histogram))
    counts: list[int] = []
    monkeypatch.setattr(AnnIndex, "__call__", spy(AnnIndex.__call__, counts))
    indexed = configured(from_products=100)
    ensure_index(store, indexed, Serving.of(None, indexed))
    answers = [
        single_query.recommend_image(store, configuration, np.zeros((256, 256, 3), np.uint8), "photo").items
        for configuration in (CONFIGURATION, indexed)
    ]
    assert counts == [20]
    pd.testing.assert_frame_equal(answers[0], answers[1])
    assert answers[0]["product_id"][0] == "p7" and len(answers[0]) == CONFIGURATION.recommend.top


def spy(real: Callable[..., object], counts: list[int]) -> Callable[..., object]:
    def call(self: AnnIndex, vector: object, count: int, allowed: object = None) -> object:
        counts.append(count)
        return real(self, vector, count, allowed)

    return call


def test_a_small_shop_has_no_index(store: Store) -> None:
    configuration = configured(from_products=PRODUCTS + 1)
    assert ensure_index(store, configuration, SERVES) is None
    assert load_index(store, configuration, SERVES, *load_shop(store)) is None
    assert not store.table(SERVES.embeddings).list_indices() and not (store.home / "index").exists()


def test_an_index_with_low_recall_is_dropped_and_search_is_exact(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ann_index_building, "_efforts", lambda most: iter([1]))
    configuration = configured(recall=1.0, kind="ivf_pq")
    known = ensure_index(store, configuration, SERVES)
    assert known is not None and not known.is_good and known.recall < 1
    assert load_index(store, configuration, SERVES, *load_shop(store)) is None
    assert not store.table(SERVES.embeddings).list_indices()
    assert ensure_index(store, configuration, SERVES) == known  # and it is not built a second time


def test_the_index_is_rebuilt_only_when_the_table_or_the_settings_change(store: Store) -> None:
    configuration = configured()
    first = ensure_index(store, configuration, SERVES)
    assert first is not None and ensure_index(store, configuration, SERVES) is not None
    assert first == ensure_index(store, configuration, SERVES) == current_record(store, configuration, SERVES)
    store.write(SERVES.embeddings, table_rows(PRODUCTS, random_vectors(100, 5)))
    assert current_record(store, configuration, SERVES) is None
    assert load_index(store, configuration, SERVES, *load_shop(store)) is None  # exact until the index is rebuilt
    second = ensure_index(store, configuration, SERVES)
    assert second is not None and second.vectors == PRODUCTS + 100 and second.version > first.version
    assert current_record(store, configured(kind="ivf_pq"), SERVES) is None
    records.write(store.home, {f"index/{SERVES.embeddings}": {"fields": "of another version"}})
    assert current_record(store, configuration, SERVES) is None
    assert load_index(store, configuration, SERVES, *load_shop(store)) is None


def test_the_record_of_an_index_is_logged_to_mlflow(store: Store) -> None:
    import mlflow

    known = ensure_index(store, configured(), SERVES)
    ensure_index(store, configured(), SERVES)  # current, so there is no second run
    client = mlflow.MlflowClient(tracking_uri(store.home))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert known is not None and experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    record = {name: str(value) for name, value in dataclasses.asdict(known).items()}
    assert run.data.metrics["recall"] == known.recall and run.data.metrics["bytes"] == known.bytes
    assert run.data.params == {name: record[name] for name in run.data.params}
    assert set(run.data.metrics) | set(run.data.params) == set(record) and run.info.status == "FINISHED"


def test_searches_print_no_warning(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    configuration = configured()
    ensure_index(store, configuration, SERVES)
    shortlist = load_index(store, configuration, SERVES, *load_shop(store))
    assert shortlist is not None and shortlist(photos().embeddings[0], 20) is not None
    assert "WARN" not in "".join(capfd.readouterr())
