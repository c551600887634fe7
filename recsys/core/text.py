"""Text for messages."""

from typing import Any


def shorten(cell: Any, length: int = 80) -> str:
    """Return a cell for a message: printable, on one line, and short."""
    written = " ".join(("" if cell is None else str(cell)[: 8 * length]).split())
    written = "".join(char if char.isprintable() else "?" for char in written)
    return written if len(written) <= length else f"{written[: length - 1]}…"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 row`, `2,000 rows`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def money(price: float | None, currency: str) -> str:
    """Return a price as people read it: ₹1,899, or ₹1,899.50 where there is a fraction."""
    if price is None:
        return "no price"
    return f"{currency}{price:,.0f}" if price == round(price) else f"{currency}{price:,.2f}"
