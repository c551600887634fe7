"""Which pictures the network sees together, on which the last bit of their features hangs."""

from collections.abc import Callable

from recsys.core.configuration import load
from recsys.models import features
from recsys.storage.store import Store


def test_the_order_of_commits_does_not_change_the_shards(small_shop: Callable[..., Store]) -> None:
    store = small_shop(["d", "b", "c", "a", "e"], ["D", "B", "C", "A", "E"])
    configuration = load(flags={"backbone": {"input_size": 224, "shard_size": 2}}, environ={})
    shards = features.missing(store, configuration)
    assert [shard.keys for shard in shards] == [("a", "b"), ("c", "d"), ("e",)]
