"""Listening to how far a stage is."""

from recsys.core import progress


class Steps(progress.Tally):
    """Counts what there is to do, and what is done."""

    def __init__(self) -> None:
        super().__init__()
        self.total, self.done = 0, 0

    def begin(self, stage: str, total: int) -> None:
        self.total += total

    def advance(self, stage: str, items: int = 1, outcome: str = "") -> None:
        self.done += items
