"""Compare reading a catalogue: this project, and the readers of pandas, pyarrow and DuckDB.

    python benchmarks/catalogue_reading.py                            # 1,000,000 rows, ten minutes
    python benchmarks/catalogue_reading.py --rows 200000              # a shorter run
    python benchmarks/catalogue_reading.py --formats csv --rounds 3   # one format, the median of three rounds

The same generated rows are written as CSV, JSON Lines and XML. Each side reads each file into memory in a process of
its own, one after another; the time is that of reading, without the imports, and the memory is the peak of the whole
process. The others only split and convert columns. This project also detects how the file is written, recognises its
columns, normalises and checks each cell, joins rows with one id, and computes the digest of each product, so it is
slower; the table shows by how much. pyarrow does not read XML, and DuckDB is used only if it is installed.

The exit code is 1 when a side has not read every row.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import measuring
from measuring import MB, middle, out, say, table, verdict

from recsys.core.process import set_up_process

COLUMNS = ("id", "name", "brand", "category", "price", "availability", "image", "description")
FORMATS = {"csv": "CSV", "jsonl": "JSON Lines", "xml": "XML"}
OURS = "ours"
SEED = 12_345


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to generate (default: %(default)s)")
    parser.add_argument(
        "--formats", nargs="+", choices=FORMATS, default=list(FORMATS), help="formats to read (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=1, help="readings by each side, for the median (default: 1)")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="folder for the files (default: temporary)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the measurements")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(read(options.side, options.file)))
        return 0
    measured: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="recsys-benchmark-", dir=options.scratch) as folder:
        for name in options.formats:
            file = Path(folder) / f"catalogue.{name}"
            WRITERS[name](file, options.rows)
            say(f"{FORMATS[name]}: {options.rows:,} rows, {file.stat().st_size / MB:,.0f} MB")
            measured += measure_format(name, file, options.rounds)
            file.unlink()
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1))
    print_table(measured, options.rows)
    missed = [f"{each['side']}, {each['format']}" for each in measured if each["rows"] != options.rows]
    return verdict((not missed, f"every row is read by all sides{': not by ' + '; '.join(missed) if missed else ''}"))


def measure_format(name: str, file: Path, rounds: int) -> list[dict[str, Any]]:
    """Return the median time and memory of each side, for one file; the rounds of the sides alternate."""
    sides = [side for side, (module, readers) in SIDES.items() if name in readers and importlib.util.find_spec(module)]
    results: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            command = [sys.executable, __file__, "--side", side, "--file", str(file)]
            result = json.loads(measuring.measure(command).output.splitlines()[-1])
            results[side].append(result)
            say(f"  {side}: {result['seconds']:.1f} s, {result['peak_mb']:,.0f} MB")
    return [
        {
            "format": FORMATS[name],
            "side": side,
            "rows": each[0]["rows"],
            "seconds": middle([result["seconds"] for result in each]),
            "peak_mb": middle([result["peak_mb"] for result in each]),
        }
        for side, each in results.items()
    ]


def print_table(measured: list[dict[str, Any]], rows: int) -> None:
    """Print rows per second and peak memory, with their ratios to those of this project."""
    lines = []
    for each in measured:
        ours = next(other for other in measured if other["format"] == each["format"] and other["side"] == OURS)
        lines.append(
            (
                each["format"],
                each["side"],
                f"{each['seconds']:.1f}",
                f"{each['rows'] / each['seconds']:,.0f}",
                f"{ours['seconds'] / each['seconds']:.2f}",
                f"{each['peak_mb']:,.0f}",
                f"{each['peak_mb'] / ours['peak_mb']:.2f}",
            )
        )
    columns = ["format", "read by", "seconds", "rows/s", "ratio of rates", "peak MB", "ratio of memory"]
    out.print(table(f"Reading {rows:,} rows; ratios to this project", columns, lines, right=columns[2:]))


# -- writing ---------------------------------------------------------------------------------------------------------


def rows(count: int) -> Iterator[tuple[str, ...]]:
    """Yield rows of a shop's export, with quotes, commas and umlauts in names and some 200 letters of description."""
    choice = random.Random(SEED).choice
    words = ["Shirt", "Mütze", "Tasse", 'Regal 19"', "Kanne, groß", "Lampe", "Hose", "Tuch", "Krug", "Stuhl"]
    brands = [f"Marke {number}" for number in range(200)]
    paths = [
        f"Top {top} > Middle {middle} > Leaf {leaf}" for top in range(9) for middle in range(9) for leaf in range(9)
    ]
    for number in range(count):
        name = f"{choice(words)} {choice(words)} {number}"
        price, stock = f"{number % 9000 + 5}.{number % 100:02}", choice(("in stock", "out of stock"))
        image = f"https://shop.example/images/{number}.jpg"
        yield f"A-{number:08}", name, choice(brands), choice(paths), price, stock, image, f"{name}: " + "text " * 36


def write_csv(file: Path, count: int) -> None:
    """Write the rows as CSV."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows(count))


def write_jsonl(file: Path, count: int) -> None:
    """Write the rows as JSON Lines."""
    with file.open("w", encoding="utf-8") as stream:
        for row in rows(count):
            stream.write(json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) + "\n")


def write_xml(file: Path, count: int) -> None:
    """Write the rows as the items of a feed."""
    with file.open("w", encoding="utf-8") as stream:
        stream.write('<?xml version="1.0" encoding="utf-8"?>\n<rss version="2.0"><channel><title>Shop</title>\n')
        for row in rows(count):
            cells = "".join(f"<{name}>{escape(cell)}</{name}>" for name, cell in zip(COLUMNS, row, strict=True))
            stream.write(f"<item>{cells}</item>\n")
        stream.write("</channel></rss>\n")


WRITERS: dict[str, Callable[[Path, int], None]] = {"csv": write_csv, "jsonl": write_jsonl, "xml": write_xml}


# -- reading, in a process of its own --------------------------------------------------------------------------------


def read(side: str, file: Path) -> dict[str, float]:
    """Return the number of rows, the seconds and the peak memory of reading a file."""
    module, readers = SIDES[side]
    reader = readers[file.suffix[1:]]
    importlib.import_module(module)
    began = time.perf_counter()
    count = reader(file)
    seconds = time.perf_counter() - began
    peak = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    return {"rows": count, "seconds": seconds, "peak_mb": int(peak[1]) / 1024 if peak else 0.0}


def read_ours(file: Path) -> int:
    """Return the number of products that this project reads."""
    from recsys.core.configuration import load
    from recsys.ingest.catalogue.reading import read_catalogue

    return len(read_catalogue(str(file), load(environ={}), file.parent / "scratch").products)


def pandas_csv(file: Path) -> int:
    import pandas as pd

    return len(pd.read_csv(file))


def pandas_jsonl(file: Path) -> int:
    import pandas as pd

    return len(pd.read_json(file, lines=True))


def pandas_xml(file: Path) -> int:
    import pandas as pd

    return len(pd.read_xml(file, iterparse={"item": list(COLUMNS)}, parser="etree"))


def pyarrow_csv(file: Path) -> int:
    from pyarrow import csv as arrow_csv

    return int(arrow_csv.read_csv(file).num_rows)


def pyarrow_jsonl(file: Path) -> int:
    from pyarrow import json as arrow_json

    return int(arrow_json.read_json(file).num_rows)


def duckdb_table(file: Path) -> int:
    import duckdb

    function = "read_csv" if file.suffix == ".csv" else "read_json"
    return int(duckdb.sql(f"SELECT * FROM {function}('{file}')").arrow().read_all().num_rows)


SIDES: dict[str, tuple[str, dict[str, Callable[[Path], int]]]] = {
    OURS: ("recsys.ingest.catalogue", {"csv": read_ours, "jsonl": read_ours, "xml": read_ours}),
    "pandas": ("pandas", {"csv": pandas_csv, "jsonl": pandas_jsonl, "xml": pandas_xml}),
    "pyarrow": ("pyarrow", {"csv": pyarrow_csv, "jsonl": pyarrow_jsonl}),
    "DuckDB": ("duckdb", {"csv": duckdb_table, "jsonl": duckdb_table}),
}
"""Module and readers of each side, by format."""


if __name__ == "__main__":
    set_up_process()
    sys.exit(main())
