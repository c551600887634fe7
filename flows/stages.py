"""The one rule of the workflow: read from the store what is missing, split it into shards, run one task per shard."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast
from uuid import UUID

from prefect import Task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture

from flows.workers import configured_runner, runs_on_cluster, shards_in_flight
from recsys.core import progress
from recsys.core.configuration import Configuration, load
from recsys.core.errors import ConfigurationError, PendingImagesError
from recsys.core.process import set_up_process
from recsys.storage.lock import lock
from recsys.storage.shards import Shard
from tasks.policy import with_retries
from tasks.result_storage import register_s3
from tasks.upkeep import compact_tables, drop_old_versions

OUTCOMES = ("ok", "same", "broken", "pending")
"""Attributes of a shard's counts that tell how its items ended."""


@contextmanager
def exclusive_home(home: str, flags: dict[str, Any] | None) -> Iterator[Configuration]:
    """Load the configuration and hold the home's lock; a second flow waits for it, at most `workflow.wait_s` seconds.

    Old versions of tables are dropped at the start, and tables with too much waste are compacted at the end.

    Raises:
        HomeError: another process still holds the lock; the message names it.
        ConfigurationError: a setting is wrong, or the flags name a store that is not the home's.
    """
    set_up_process()
    register_s3()
    configuration = load(Path(home), flags)
    if configuration.store.url != load(Path(home)).store.url:
        raise ConfigurationError(
            "store.url cannot be set by the flags of a flow; set it in recsys.toml or RECSYS_STORE__URL"
        )
    with lock(Path(home), configuration.workflow.wait_s, nested=True), configured_runner(configuration):
        drop_old_versions(home, configuration)
        yield configuration
        compact_tables(home, configuration)


def run_stage(
    missing: Task[..., list[Shard]],
    work: Task[..., Any],
    home: str,
    configuration: Configuration,
    *,
    threads: int | None = None,
    **parameters: Any,
) -> int:
    """Run a stage: ask `missing` for shards, run `work` on each of them; return the number of items.

    Shards with pending images do not fail the stage; `require_images` decides whether too many are pending. Any other
    failure fails the stage, after all shards have ended.

    Args:
        missing: returns the shards.
        work: processes one shard.
        home: of the shop.
        configuration: an argument of both tasks.
        threads: number of shards in flight, without a cluster (default: `workflow.workers`).
        parameters: further arguments of both tasks.
    """
    arguments = {"home": home, "configuration": configuration, **parameters}
    shards = missing(**arguments)
    if not shards:
        return 0
    stage, items = shards[0].stage, sum(len(shard.keys) for shard in shards)
    progress.begin(stage, items)
    stage_progress = _StageProgress(stage, items, len(shards))
    failures = []
    in_flight = shards_in_flight(home, threads or configuration.workflow.workers)
    with progress.listen(stage_progress.tally):
        for shard, future in _as_completed(with_retries(work, configuration), shards, in_flight, arguments):
            result = _result(future)
            if isinstance(result, Exception):
                failures.append(result)
            stage_progress.shard_ended(shard, result)
    progress.finish(stage, f"{items:,} in {len(shards)} shards{stage_progress.tally}")
    for failure in failures:
        if not isinstance(failure, PendingImagesError):
            raise failure
    return items


class _StageProgress:
    """The progress artifact of a stage.

    Attributes:
        tally: of the outcomes of its items.
    """

    def __init__(self, stage: str, items: int, shards: int) -> None:
        self.tally = progress.Tally()
        self._stage, self._shards, self._done = stage, shards, 0
        artifact = create_progress_artifact(0.0, key=f"{stage}-progress", description=f"{stage}: {items:,} to do")
        self._artifact = cast("UUID", artifact)

    def shard_ended(self, shard: Shard, result: Any) -> None:
        """Update the artifact; also count the items of a shard that another process has worked on."""
        if runs_on_cluster():
            _report_items(shard, result)
        self._done += 1
        description = f"{self._stage}: {self._done} of {self._shards} shards{self.tally}"
        update_progress_artifact(self._artifact, round(100 * self._done / self._shards, 1), description)


def _report_items(shard: Shard, result: Any) -> None:
    """Report the items of a shard as done, by outcome if its counts have outcomes."""
    counts = result.counts if isinstance(result, PendingImagesError) else result
    outcomes = {name: getattr(counts, name) for name in OUTCOMES if hasattr(counts, name)}
    for outcome, items in (outcomes or {"": len(shard.keys)}).items():
        progress.advance(shard.stage, items, outcome)


def _as_completed(
    work: Task[..., Any], shards: list[Shard], in_flight: int, arguments: dict[str, Any]
) -> Iterator[tuple[Shard, PrefectFuture[Any]]]:
    """Submit shards, at most `in_flight` at a time, and yield each with its future as it ends."""
    ended: SimpleQueue[tuple[Shard, PrefectFuture[Any]]] = SimpleQueue()
    for number, shard in enumerate(shards):
        if number >= in_flight:
            yield ended.get()
        work.submit(shard=shard, **arguments).add_done_callback(lambda future, shard=shard: ended.put((shard, future)))
    for _ in shards[-in_flight:]:
        yield ended.get()


def _result(future: PrefectFuture[Any]) -> Any:
    """Return the result of a shard, or its exception; also if its worker was lost."""
    try:
        return future.result(raise_on_failure=False)
    except Exception as error:
        return error
