"""Record the progress that a stage reports."""

from recsys.core import progress


class Steps(progress.Tally):
    """The steps that a stage announced (`total`) and finished (`done`), and its sentences for the user (`notes`)."""

    def __init__(self) -> None:
        super().__init__()
        self.total, self.done = 0, 0
        self.notes: list[str] = []

    def begin(self, stage: str, total: int | None) -> None:
        self.total += total or 0

    def advance(self, stage: str, items: int = 1, outcome: str = "") -> None:
        self.done += items

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)
