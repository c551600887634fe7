"""What is known of the current catalogue besides its products: a record of the home, written when it is read.

record catalogue    preset, currency, separators, whether it has groups, the folder of its image files
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.core.configuration import Configuration
from recsys.ingest.catalogue.cells import CURRENCIES
from recsys.storage import records
from recsys.storage.store import Store

if TYPE_CHECKING:
    from recsys.ingest.catalogue.reading import Reading

RECORD = "catalogue"
SIGNS = {code: sign for sign, code in CURRENCIES.items() if len(code) == 3 and len(sign) <= 3 and not sign.isascii()}
SIGNS |= {"USD": "$", "AUD": "A$", "CAD": "C$", "NZD": "NZ$", "HKD": "HK$", "SGD": "S$", "BRL": "R$", "JPY": "¥"}


@dataclass(frozen=True)
class CatalogueFacts:
    """Facts about a catalogue; the defaults are those of a home that was filled by an earlier version.

    Attributes:
        preset: name of its preset.
        labels: its built-in merge table, see `Preset.labels`.
        currency: printed before a price.
        decimal: decimal sign of its prices.
        tree_separator: separator of category levels.
        grouped: whether it says which rows are variants of one product.
        image_folder: folder of its image files; empty if it has URLs.
    """

    preset: str = "promptcloud_flipkart"
    labels: str = "original"
    currency: str = "₹"
    decimal: str = "."
    tree_separator: str = ">>"
    grouped: bool = False
    image_folder: str = ""

    @classmethod
    def of(cls, reading: Reading) -> CatalogueFacts:
        """Return the facts about a catalogue that was read."""
        preset = reading.recognition.preset
        sign = SIGNS.get(reading.currency, f"{reading.currency} " if reading.currency.isalpha() else reading.currency)
        return cls(
            preset=preset.name,
            labels=preset.labels,
            currency=sign,
            decimal=reading.settings["decimal"],
            tree_separator=reading.settings["tree_separator"],
            grouped=reading.grouped,
            image_folder=reading.image_folder,
        )


def read_facts(home: Path | str) -> CatalogueFacts:
    """Return the facts about the catalogue that was read last.

    Raises:
        HomeError: the home cannot be used, or the record is damaged.
    """
    record = records.read(home, RECORD)
    try:
        return CatalogueFacts(**record) if record is not None else CatalogueFacts()
    except TypeError as error:
        raise records.damaged(home, RECORD, error) from error


def write_facts(store: Store, facts: CatalogueFacts) -> None:
    """Record the facts, if they have changed. The caller must hold the home's lock."""
    if records.read(store.home, RECORD) != asdict(facts):
        records.write(store.home, {RECORD: asdict(facts)})


def currency_of(home: Path | str, configuration: Configuration) -> str:
    """Return what is printed before a price: `catalogue.currency`, else the currency of the catalogue."""
    return configuration.catalogue.currency or read_facts(home).currency
