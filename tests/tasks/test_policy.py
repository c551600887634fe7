"""What is tried again, and what a kept result depends on."""

from __future__ import annotations

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
from recsys.storage.store import Store, shards


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (PendingImagesError("3 pending"), True),
        (TransientFetchError("blocked", "a robot check"), True),
        (PermanentFetchError("robots", "forbidden"), False),
        (ConnectionError("reset"), True),
        (CatalogueError("no such file"), False),
        (HomeError("disk full"), False),
        (WeightsError("offline"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(prefect_url: str, error: Exception, again: bool) -> None:
    from prefect import task

    from tasks.policy import may_pass

    tries = []

    @task(retries=1, retry_delay_seconds=0, retry_condition_fn=may_pass)
    def fail() -> None:
        tries.append(1)
        raise error

    with pytest.raises(type(error)):
        fail()
    assert len(tries) == (2 if again else 1)


def key(home: Path, **given: Any) -> str:
    from tasks.policy import cache_key

    context: Any = SimpleNamespace(task=SimpleNamespace(name="extract-features"))
    return cache_key(context, {"home": str(home), **given})


def test_a_kept_result_depends_on_store_shard_and_configuration(prefect_url: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    Store(one), Store(other)
    shard, later = shards("features", ["a"], 1)[0], shards("features", ["a"], 1, ["seen"])[0]
    usual = load(environ={})
    first = key(one, shard=shard, configuration=usual)
    assert key(one, shard=shard, configuration=load(environ={})) == first
    assert key(other, shard=shard, configuration=usual) != first
    assert key(one, shard=later, configuration=usual) != first
    assert key(one, shard=shard, configuration=load(None, {"colour": {"hue_bins": 6}}, environ={})) != first


def test_a_kept_result_does_not_depend_on_how_many_threads_work(prefect_url: str, tmp_path: Path) -> None:
    Store(tmp_path)
    busy = load(None, {"workflow": {"workers": 8}}, environ={})
    assert key(tmp_path, configuration=busy) == key(tmp_path, configuration=load(environ={}))
