"""Which failures are retried, and what a cached result depends on."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recsys.core.configuration import load
from recsys.core.errors import (
    CatalogueError,
    HomeError,
    PendingImagesError,
    PermanentFetchError,
    TransientFetchError,
    WeightsError,
)
from recsys.models import features
from recsys.storage.shards import shards
from recsys.storage.store import Store

pytestmark = pytest.mark.server


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [
        (PendingImagesError("3 pending"), True),
        (TransientFetchError("blocked", "a captcha"), True),
        (PermanentFetchError("robots", "forbidden"), False),
        (ConnectionError("reset"), True),
        (CatalogueError("no such file"), False),
        (HomeError("disk full"), False),
        (WeightsError("offline"), False),
    ],
)
def test_only_failures_that_may_pass_are_retried(prefect_url: str, error: Exception, is_retried: bool) -> None:
    from prefect import task

    from tasks.policy import is_retryable

    attempts = []

    @task(retries=1, retry_delay_seconds=0, retry_condition_fn=is_retryable)
    def fail() -> None:
        attempts.append(1)
        raise error

    with pytest.raises(type(error)):
        fail()
    assert len(attempts) == (2 if is_retried else 1)


def key(home: Path, **arguments: Any) -> str:
    from tasks.policy import CacheKey

    context: Any = SimpleNamespace(task=SimpleNamespace(name="extract-features"))
    return CacheKey((features.extract_shard,))(context, {"home": str(home), **arguments})


def test_a_cached_result_depends_on_store_shard_and_configuration(prefect_url: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    Store(one), Store(other)
    shard, later = shards("features", ["a"], 1)[0], shards("features", ["a"], 1, ["seen"])[0]
    defaults = load(environ={})
    first = key(one, shard=shard, configuration=defaults)
    assert key(one, shard=shard, configuration=load(environ={})) == first
    assert key(other, shard=shard, configuration=defaults) != first
    assert key(one, shard=later, configuration=defaults) != first
    assert key(one, shard=shard, configuration=load(None, {"colour": {"hue_bins": 6}}, environ={})) != first


def test_a_cached_result_does_not_depend_on_the_number_of_threads(prefect_url: str, tmp_path: Path) -> None:
    Store(tmp_path)
    threads = load(None, {"workflow": {"workers": 8}}, environ={})
    assert key(tmp_path, configuration=threads) == key(tmp_path, configuration=load(environ={}))


def test_a_cache_key_is_a_file_name_that_retention_can_parse(prefect_url: str, tmp_path: Path) -> None:
    from recsys.lifecycle.retention import KEPT_RESULT
    from tasks.features import extract_features

    Store(tmp_path)
    context: Any = SimpleNamespace(task=extract_features)
    key_of: Any = extract_features.cache_key_fn
    match = KEPT_RESULT.fullmatch(key_of(context, {"home": str(tmp_path)}))
    assert match is not None and match[1] == "extract_features"


# --- the code that a result depends on -------------------------------------------------------------------------------

MODULES = ("classifier", "embedding", "features", "images", "labels", "recommendations", "results", "scraping")
ALL = {
    *(
        "fetch_images",
        "fetch_views",
        "extract_features",
        "embed_pictures",
        "embed_words",
        "predict_labels",
        "label_products",
    ),
    *("recommend_products", "evaluate_embedding", "publish_results", "scrape_keyword"),
}
"""Tasks with a cached result."""


def cached_tasks() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the name of each task with a cached result, and the functions of the library that its key names."""
    from prefect import Task

    from tasks.policy import CacheKey

    for module in MODULES:
        for name, member in vars(importlib.import_module(f"tasks.{module}")).items():
            if isinstance(member, Task) and isinstance(member.cache_key_fn, CacheKey):
                yield name, member.cache_key_fn.functions


def changed_tasks(folder: Path, file: str) -> set[str]:
    """Return the tasks whose code digest changes if a file of the library is edited, in a copy of it."""
    from tasks.code_digest import LIBRARY, code_digest

    copy = shutil.copytree(LIBRARY, folder / "recsys", ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / file).open("r+", encoding="utf-8") as source:
        source.write("#")
    return {name for name, functions in cached_tasks() if code_digest(functions, copy) != code_digest(functions)}


@pytest.mark.parametrize(
    ("file", "changed", "unchanged"),
    [
        ("reporting/rendering.py", {"publish_results"}, ALL - {"publish_results"}),
        ("reporting/report.html.j2", {"publish_results"}, ALL - {"publish_results"}),
        ("service/app.py", set(), ALL),
        ("__init__.py", set(), ALL),
        ("vision/square.py", {"extract_features", "fetch_images", "fetch_views", "publish_results"}, set()),
        ("vision/backbones/efficientnet_lite_graph.py", {"extract_features", "embed_pictures"}, {"fetch_images"}),
        ("vision/colour.py", {"extract_features", "recommend_products"}, {"fetch_images", "label_products"}),
        ("ranking/reranking.py", {"recommend_products"}, {"extract_features", "fetch_images", "predict_labels"}),
        ("models/labels/merge_table.py", {"label_products"}, {"extract_features", "fetch_images", "embed_pictures"}),
        ("ingest/images/hosts.py", {"fetch_images", "fetch_views"}, {"extract_features", "recommend_products"}),
        ("core/errors.py", ALL, set()),
    ],
)
def test_an_edited_file_changes_the_keys_of_the_tasks_that_depend_on_it(
    prefect_url: str, tmp_path: Path, file: str, changed: set[str], unchanged: set[str]
) -> None:
    affected = changed_tasks(tmp_path, file)
    assert changed <= affected
    assert not unchanged & affected


def test_every_cached_task_names_functions_of_the_library(prefect_url: str) -> None:
    tasks = dict(cached_tasks())
    assert tasks.keys() == ALL
    for functions in tasks.values():
        assert functions and all(function.__module__.startswith("recsys.") for function in functions)


@pytest.mark.slow
def test_the_files_that_a_module_depends_on_are_those_that_it_imports(prefect_url: str) -> None:
    """Python itself loads no module of the library that the search in the source text does not find."""
    from tasks.code_digest import LIBRARY, dependencies

    code = "import sys, {}; print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('recsys.')), sep='\\n')"
    for module in ("recsys.models.features", "recsys.ranking.recommendations", "recsys.reporting.publication"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(module)], cwd=LIBRARY.parent, capture_output=True, text=True, check=True
        )
        loaded = {Path(file) for file in done.stdout.splitlines() if Path(file).name != "__init__.py"}
        assert loaded <= dependencies(module, LIBRARY)
