"""Shards: the unit of work of a stage, of a task and of a commit."""

from collections.abc import Sequence
from dataclasses import dataclass

from recsys.core.digests import digest


@dataclass(frozen=True)
class Shard:
    """A slice of what a stage has to do: small enough to lose, large enough to be worth a task.

    `digest` covers the keys and the state that made them missing, so that the same work has the same digest and
    work that came up again (a link to be checked once more) has another. `is_new` says that the stage had no rows of
    these keys when the shards were made, so that they can be added without a search for rows to replace.
    """

    stage: str
    number: int  # from 1
    of: int
    keys: tuple[str, ...]
    digest: str
    is_new: bool = False

    def __str__(self) -> str:
        return f"{self.stage} {self.number}/{self.of}"


def shards(stage: str, keys: Sequence[str], size: int, state: Sequence[str] = ()) -> list[Shard]:
    """Split keys into shards of at most `size`; `state[i]` says why `keys[i]` is missing and enters the digest."""
    of = -(-len(keys) // size)
    return [
        Shard(
            stage=stage,
            number=start // size + 1,
            of=of,
            keys=tuple(keys[start : start + size]),
            digest=digest([stage, *keys[start : start + size], *state[start : start + size]]),
        )
        for start in range(0, len(keys), size)
    ]
