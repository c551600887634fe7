"""Labels: from the category tree, the classifier's predictions and the reviews."""

from prefect import task

from recsys.core import progress
from recsys.core.configuration import Configuration
from recsys.models.labels import ledger
from recsys.models.labels.merge_table import merge_table_notes
from recsys.storage.shards import Shard
from recsys.storage.store import Store
from tasks import policy
from tasks.artifacts import save_table


@task(task_run_name="labels: what is missing", **policy.UNCACHED)
def missing_labels(home: str, configuration: Configuration, filling: ledger.Filling | None = None) -> list[Shard]:
    """Return shards of the products without a label, or with one whose inputs have changed."""
    store = Store(home)
    if filling is None:
        for note in merge_table_notes(store, configuration):
            progress.note(note)
    return ledger.missing(store, configuration, filling)


@task(**policy.cached_shard(ledger.label_shard))
def label_products(
    home: str, shard: Shard, configuration: Configuration, filling: ledger.Filling | None = None
) -> ledger.LabelCounts:
    """Label a shard of products."""
    counts = ledger.label_shard(Store(home), shard, configuration, filling)
    progress.advance(shard.stage, len(shard.keys))
    return counts


@task(task_run_name="labels: class balance", **policy.UNCACHED)
def save_class_balance(home: str) -> None:
    """Save the class balance as an artifact of the flow run."""
    save_table("class-balance", ledger.class_balance(Store(home)), "Products of the current catalogue by label.")
