"""The one rule of the workflow: ask the store what is missing, split it into shards, map one task over them."""

from __future__ import annotations

from typing import Any

from prefect import Task, unmapped

from recsys import progress
from recsys.configuration import Configuration
from recsys.errors import PendingImagesError
from recsys.store import Shard


def over_shards(missing: Task[..., list[Shard]], work: Task[..., Any], home: str, configuration: Configuration) -> int:
    """Run a stage and return how many items were missing: `missing` says which, `work` does one shard of them.

    Shards with pending images do not end the stage, whose next step decides whether too many are pending; any other
    failure does, after all shards have ended.
    """
    shards = missing(home, configuration)
    items = sum(len(shard.keys) for shard in shards)
    if not shards:
        return 0
    settings = configuration.workflow
    patient = work.with_options(
        retries=settings.retries,
        retry_delay_seconds=[settings.retry_delay_s * 2**attempt for attempt in range(settings.retries)],
    )
    progress.begin(shards[0].stage, items)
    futures = patient.map(home=unmapped(home), shard=shards, configuration=unmapped(configuration))
    results = [future.result(raise_on_failure=False) for future in futures]
    failures = [result for result in results if isinstance(result, Exception)]
    progress.finish(shards[0].stage, f"{items:,} in {len(shards)} shards")
    for failure in failures:
        if not isinstance(failure, PendingImagesError):
            raise failure
    return items
