"""The one rule of the workflow: ask the store what is missing, split it into shards, map one task over them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from prefect import Task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture

from flows.workers import are_elsewhere, at_once, shards_done_by
from recsys.core import progress
from recsys.core.configuration import Configuration, load
from recsys.core.errors import ConfigurationError, PendingImagesError
from recsys.core.process import set_up_process
from recsys.storage.store import Shard, lock
from tasks.policy import patiently
from tasks.upkeep import compact_tables, let_go_of_old_versions


@contextmanager
def alone(home: str, configuration: Configuration) -> Iterator[None]:
    """Have the home to oneself while the context lasts; a flow that comes second waits, `workflow.wait_s` at most.

    What runs leave behind in the tables is let go of, at the beginning and at the end (see
    `recsys.storage.compaction`).

    Raises:
        HomeError: it says which process has it still.
        ConfigurationError: the flow was told of a store that its home knows nothing of.
    """
    set_up_process()
    if configuration.store.url != load(Path(home)).store.url:
        raise ConfigurationError("store.url is no parameter of a flow; set it in recsys.toml, or RECSYS_STORE__URL")
    with lock(Path(home), configuration.workflow.wait_s, nested=True), shards_done_by(configuration):
        let_go_of_old_versions(home, configuration)
        yield
        compact_tables(home, configuration)


def over_shards(
    missing: Task[..., list[Shard]],
    work: Task[..., Any],
    home: str,
    configuration: Configuration,
    *,
    threads: int | None = None,
    **parameters: Any,
) -> int:
    """Run a stage and return how many items were missing: `missing` says which, `work` does one shard of them.

    Shards with pending images do not end the stage, whose next step decides whether too many are pending; any other
    failure does, after all shards have ended.

    Args:
        missing: returns the shards.
        work: does one of them.
        home: of the shop.
        configuration: given to both.
        threads: that do shards at once, where threads do (default: `workflow.workers`).
        parameters: given to both as well.
    """
    given = {"home": home, "configuration": configuration, **parameters}
    shards = missing(**given)
    items = sum(len(shard.keys) for shard in shards)
    if not shards:
        return 0
    patient = patiently(work, configuration)
    stage = shards[0].stage
    artifact = create_progress_artifact(0.0, key=f"{stage}-progress", description=f"{stage}: {items:,} to do")
    progress.begin(stage, items)
    tally = progress.Tally()
    failures: list[Exception] = []
    under_way = at_once(home, threads or configuration.workflow.workers)
    with progress.listen(tally):
        for done, (shard, future) in enumerate(_ended(patient, shards, under_way, given), 1):
            result = _result(future)
            if isinstance(result, Exception):
                failures.append(result)
            if are_elsewhere():
                _tell(shard, result)
            told = f"{stage}: {done} of {len(shards)} shards{tally}"
            update_progress_artifact(artifact, round(100 * done / len(shards), 1), told)
    progress.finish(stage, f"{items:,} in {len(shards)} shards{tally}")
    for failure in failures:
        if not isinstance(failure, PendingImagesError):
            raise failure
    return items


def _ended(
    work: Task[..., Any], shards: list[Shard], at_once: int, given: dict[str, Any]
) -> Iterator[tuple[Shard, PrefectFuture[Any]]]:
    """Submit shards, so many at once, and give each and its future as it ends."""
    ended: SimpleQueue[tuple[Shard, PrefectFuture[Any]]] = SimpleQueue()
    for number, shard in enumerate(shards):
        if number >= at_once:
            yield ended.get()
        work.submit(shard=shard, **given).add_done_callback(lambda future, shard=shard: ended.put((shard, future)))
    for _ in shards[-at_once:]:
        yield ended.get()


def _result(future: PrefectFuture[Any]) -> Any:
    """Return what a shard gave, or why it failed; also where no worker lived to say so."""
    try:
        return future.result(raise_on_failure=False)
    except Exception as error:
        return error


def _tell(shard: Shard, result: Any) -> None:
    """Tell what the shard's worker could tell to nobody here: its items, by how they ended where that differs."""
    counts = result.counts if isinstance(result, PendingImagesError) else result
    outcomes = {name: getattr(counts, name) for name in ("ok", "same", "broken", "pending") if hasattr(counts, name)}
    for outcome, items in (outcomes or {"": len(shard.keys)}).items():
        progress.advance(shard.stage, items, outcome)
