"""Warnings: cells that were read in a way that the user should know of."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

EXAMPLES = 3
"""Number of rows that a warning names."""


@dataclass
class Warnings:
    """Cells that were read in a way that the user should know of, by reason."""

    unit: str = "line"
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, reason: str, line: int, cell: Any = None) -> None:
        """Count a cell."""
        self.counts[reason] += 1
        if len(self.examples[reason]) < EXAMPLES:
            shown = "" if cell is None else f" '{str(cell)[:40]}'"
            self.examples[reason].append(f"{self.unit} {line}{shown}")

    def notes(self) -> list[str]:
        """Return a sentence per reason, with the number of cells and the first of them."""
        return [
            f"{count:,} {'row' if count == 1 else 'rows'}: {reason} ({', '.join(self.examples[reason])})"
            for reason, count in self.counts.items()
        ]
