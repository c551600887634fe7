"""Delimited text: one table in many dialects, and the same table with one bad row.

Each dialect must give the clean table. A bad row must be rejected, and only that row, with its line and a reason.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from recsys.core.errors import CatalogueError, ConfigurationError
from recsys.ingest.catalogue.reading import Reading

HEADER = ["id", "name", "brand", "category", "price", "image"]
NAMES = {
    "western": [
        'Schrauben 4", verzinkt',
        "Tasse; groß, weiß",
        "Regenjacke\nfür Mädchen",
        'Mütze "Größe L"',
        "Crème brûlée, 6 Stück",
        "L'Oréal Haarfarbe",
        "Bügeleisen",
        "Kanne | 1,5 l",
    ],
    "french": ["Sac à cœur, 20 €", "Théière émaillée; bleue", 'Écran 24"', "Chaise\nen chêne", "Œillets, 6 pièces"],
    "polish": ["Koszulka męska; żółta", "Łyżka do zupy, śliczna", 'Półka 24"', "Spódnica\nkrótka", "Kurtka dziewczęca"],
    "russian": ["Куртка зимняя, мужская", "Футболка; синяя", 'Экран 24"', "Чашка\nкерамическая", "Шапка вязаная"],
    "japanese": ["青いTシャツ, 大", "陶器のマグカップ; 白", '表示板 24"', "木製\nスプーン", "ソファ ソックス"],
    "chinese": ["蓝色T恤, 大号", "陶瓷杯; 白色", '显示器 24"', "木制\n勺子", "女士夹克"],
}
ROWS, BAD = 20, 11
PRICE = re.compile(r"\.(?=\d\d$)")


def table(language: str = "western") -> list[list[str]]:
    names = NAMES[language]
    return [
        [
            f"A-{number:03}",
            f"{names[number % len(names)]} {number}",
            ["Müller", "", "Acme"][number % 3] if language in ("western", "french") else "Acme",
            f"Haus > Küche {number % 4}" if language == "western" else f"Home > Area {number % 4}",
            f"{10 + number}.50",
            f"https://shop.example/i/{number}.jpg",
        ]
        for number in range(ROWS)
    ]


def plain(rows: list[list[str]]) -> list[list[str]]:
    """Return a table that needs no quotes in any dialect."""
    return [[re.sub(r"[\n;,|^~\t\"']", " ", cell) if at == 1 else cell for at, cell in enumerate(row)] for row in rows]


def written(
    rows: Sequence[Sequence[str]],
    delimiter: str = ",",
    quoting: Any = csv.QUOTE_MINIMAL,
    *,
    header: Sequence[str] = HEADER,
    end: str = "\n",
    **options: Any,
) -> str:
    text = io.StringIO()
    line_end = end.lstrip(delimiter)  # Python 3.13 permits no delimiter in it
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end, **options)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().replace(line_end, end) if line_end != end else text.getvalue()


def lines_of(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def insert(text: str, *at: tuple[int, str]) -> str:
    lines = lines_of(text)
    for line, inserted in sorted(at, reverse=True):
        lines.insert(line, inserted)
    return "".join(lines)


def each_line(text: str, change: Callable[[str], str], start: int = 0) -> str:
    lines = text.splitlines()
    return "\n".join([*lines[:start], *map(change, lines[start:])]) + "\n"


WESTERN, PLAIN = table(), plain(table())
MINIMAL, ALL, NONE = csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE
BACKSLASH: dict[str, Any] = {"doublequote": False, "escapechar": "\\"}
UNQUOTED: dict[str, Any] = {"quotechar": None, "escapechar": "\\"}
CLEAN, CLEAN_PLAIN = written(WESTERN), written(PLAIN)
COMMAS = [[*row[:4], PRICE.sub(",", row[4]), row[5]] for row in WESTERN]
EUROS = [[*row[:4], PRICE.sub(",", row[4]) + " €", row[5]] for row in WESTERN]
PREAMBLE = ["Export of products\n", '"Shop ""Haus"", all products"\n', "\n", "created,2026-01-05\n", "rows,20,,\n"]
MIXED = "".join(line + "\r\n" * (at % 2) + "\n" * (1 - at % 2) for at, line in enumerate(CLEAN_PLAIN.splitlines()))

DIALECTS: dict[str, tuple[str | bytes, list[list[str]]]] = {
    # delimiters and quotes
    **{
        f"{name}, quotes {rule}": (written(WESTERN, sign, quoting), WESTERN)
        for name, sign in {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "caret": "^", "tilde": "~"}.items()
        for rule, quoting in {"where needed": MINIMAL, "everywhere": ALL}.items()
    },
    **{
        f"{name}, no quotes": (written(PLAIN, sign, NONE, quotechar=None), PLAIN)
        for name, sign in {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "caret": "^", "tilde": "~"}.items()
    },
    "quotes around texts": (re.sub(r'"([\d.]+)"', r"\1", written(WESTERN, ";", ALL)), WESTERN),
    "backslash before quotes": (written(WESTERN, ",", MINIMAL, **BACKSLASH), WESTERN),
    "backslash before quotes, semicolon": (written(WESTERN, ";", ALL, **BACKSLASH), WESTERN),
    "backslash, no quotes": (written(WESTERN, ",", NONE, **UNQUOTED), WESTERN),
    "backslash, no quotes, tab": (written(WESTERN, "\t", NONE, **UNQUOTED), WESTERN),
    "single quotes": (written(WESTERN, ",", MINIMAL, quotechar="'"), WESTERN),
    "single quotes everywhere": (written(WESTERN, ";", ALL, quotechar="'"), WESTERN),
    "single quotes around texts": (re.sub(r"'([\d.]+)'", r"\1", written(PLAIN, ",", ALL, quotechar="'")), PLAIN),
    "single quotes, backslash": (written(WESTERN, ",", ALL, quotechar="'", **BACKSLASH), WESTERN),
    "blanks after the delimiter": (CLEAN.replace(',"', ', "').replace("https", " https"), WESTERN),
    "quotes that are text, tab": (
        written([[row[0], f'"Best" {row[1]}', *row[2:]] for row in PLAIN], "\t", NONE, quotechar=None),
        [[row[0], f'"Best" {row[1]}', *row[2:]] for row in PLAIN],
    ),
    "inches without quotes": (
        written([[row[0], f'{row[1]} 19"', *row[2:]] for row in PLAIN], ";", NONE, quotechar=None),
        [[row[0], f'{row[1]} 19"', *row[2:]] for row in PLAIN],
    ),
    # encodings
    "utf-8 with mark": (CLEAN.encode("utf-8-sig"), WESTERN),
    "utf-16 with mark": (CLEAN.encode("utf-16"), WESTERN),
    "utf-16-be with mark": (b"\xfe\xff" + CLEAN.encode("utf-16-be"), WESTERN),
    "utf-16-le": (CLEAN.encode("utf-16-le"), WESTERN),
    "utf-16-be": (CLEAN.encode("utf-16-be"), WESTERN),
    "utf-16-le, Russian": (written(table("russian"), "\t").encode("utf-16-le"), table("russian")),
    "utf-32 with mark": (CLEAN.encode("utf-32"), WESTERN),
    "utf-32-le": (CLEAN.encode("utf-32-le"), WESTERN),
    "cp1252": (CLEAN.encode("cp1252"), WESTERN),
    "cp1252, French": (written(table("french"), ";").encode("cp1252"), table("french")),
    "iso-8859-15": (written(table("french"), ";").encode("iso-8859-15"), table("french")),
    "cp1250": (written(table("polish"), ";").encode("cp1250"), table("polish")),
    "iso-8859-2": (written(table("polish"), ";").encode("iso-8859-2"), table("polish")),
    "cp1251": (written(table("russian"), ";").encode("cp1251"), table("russian")),
    "koi8-r": (written(table("russian")).encode("koi8-r"), table("russian")),
    "shift_jis": (written(table("japanese")).encode("shift_jis"), table("japanese")),
    "euc_jp": (written(table("japanese")).encode("euc_jp"), table("japanese")),
    "gb18030": (written(table("chinese")).encode("gb18030"), table("chinese")),
    "utf-8 with bytes of cp1252": (CLEAN.encode().replace("Müller".encode(), b"M\xfcller", 2), WESTERN),
    "utf-8 with mark and bytes of cp1252": (CLEAN.encode("utf-8-sig").replace("ü".encode(), b"\xfc", 1), WESTERN),
    # ends of lines
    "line ends of Windows": (written(WESTERN, end="\r\n"), WESTERN),
    "line ends of the old Mac": (written(PLAIN, end="\r"), PLAIN),
    "line ends of the old Mac, quotes": (written(WESTERN, ";", ALL, end="\r").replace("\nfür", "\rfür"), WESTERN),
    "mixed line ends": (MIXED, PLAIN),
    "no line end at the end": (CLEAN.rstrip("\n"), WESTERN),
    "Ctrl-Z at the end": (CLEAN + "\x1a", WESTERN),
    # lines that are no rows
    "sep= line": ("sep=;\r\n" + written(WESTERN, ";", end="\r\n"), WESTERN),
    "sep= line of a tab, utf-16": (("sep=\t\r\n" + written(WESTERN, "\t", end="\r\n")).encode("utf-16"), WESTERN),
    "sep= line that is wrong": ("sep=;\n" + CLEAN, WESTERN),
    **{f"preamble of {count}": ("".join(PREAMBLE[:count]) + CLEAN, WESTERN) for count in range(1, 6)},
    "preamble with an open quote": ('"Products 19" and more\n"All products\n' + CLEAN, WESTERN),
    "blank lines": (insert(CLEAN, (0, "\n\n"), (1, "\n"), (2, " \n"), (len(lines_of(CLEAN)), "\n\n\n")), WESTERN),
    "lines of delimiters only": (insert(CLEAN, (1, ",,,,,\n"), (2, " , ,,,,\n")), WESTERN),
    "header twice": (insert(CLEAN, (1, lines_of(CLEAN)[0])), WESTERN),
    "header again": (insert(CLEAN_PLAIN, (9, lines_of(CLEAN)[0])), PLAIN),
    "header again with an empty end": (insert(CLEAN_PLAIN, (9, lines_of(CLEAN)[0].replace("\n", ",\n"))), PLAIN),
    # delimiters at the end of a line
    "rows end with a delimiter": (each_line(CLEAN_PLAIN, lambda line: line + ",", 1), PLAIN),
    "rows end with three delimiters": (each_line(CLEAN_PLAIN, lambda line: line + ",,,", 1), PLAIN),
    "all lines end with a delimiter": (each_line(CLEAN_PLAIN, lambda line: line + ","), PLAIN),
    "all lines end with empty quotes": (each_line(written(PLAIN, ";", ALL), lambda line: line + ';"";""'), PLAIN),
    "header ends with a delimiter": (CLEAN.replace("image\n", "image,\n"), WESTERN),
    "header ends with three delimiters": (CLEAN.replace("image\n", "image,,,\n"), WESTERN),
    # marks and control characters
    "mark before the first row": (CLEAN.replace("A-000", "\ufeffA-000"), WESTERN),
    "mark in front of a quote": (written(WESTERN, ";", ALL).replace('"A-000', '\ufeff"A-000'), WESTERN),
    "two files in one": (("\ufeff" + CLEAN).replace("A-010", "\ufeffA-010"), WESTERN),
    "two files in one, header again": (insert("\ufeff" + CLEAN_PLAIN, (9, "\ufeff" + lines_of(CLEAN)[0])), PLAIN),
    "NUL padding": (each_line(CLEAN_PLAIN, lambda line: line.replace(",", "\0\0\0,") + "\0"), PLAIN),
    "NUL padding, quotes": (written(PLAIN, ";", ALL).replace('"', '\0"').replace(';\0"', ';"'), PLAIN),
    "control characters": (CLEAN_PLAIN.replace(" 7,", " \x01\x027\x7f,").replace(".50,", ".50\x0b,"), PLAIN),
    "zero-width blanks": (CLEAN.replace("A-00", "\u200bA-00").replace(".50,", ".50\u200b,"), WESTERN),
    # prices
    "decimal comma, quotes": (written(COMMAS), WESTERN),
    "decimal comma, semicolon": (written(COMMAS, ";"), WESTERN),
    "decimal comma, euro": (written(EUROS, ";").encode("cp1252"), WESTERN),
    "decimal comma, euro, iso-8859-15": (written(EUROS, "\t").encode("iso-8859-15"), WESTERN),
    "all at once": (
        ("sep=;\r\nExport\r\n\r\n" + written(COMMAS, ";", ALL, end=";;\r\n").replace("A-003", "\ufeffA-003")).encode(
            "utf-16"
        ),
        WESTERN,
    ),
}  # fmt: skip


def products(reading: Reading) -> list[list[Any]]:
    frame = reading.products
    columns = ["product_id", "name", "brand", "category_path", "price", "image_urls"]
    return [
        [None if isinstance(cell, float) and cell != cell else cell for cell in row]
        for row in frame[columns].astype(object).to_numpy().tolist()
    ]


def expected(rows: list[list[str]], without: int | None = None) -> list[list[Any]]:
    return [
        [row[0], " ".join(row[1].split()), row[2] or None, row[3].split(" > "), float(row[4]), [row[5]]]
        for at, row in enumerate(rows)
        if at != without
    ]


@pytest.mark.parametrize(("content", "rows"), DIALECTS.values(), ids=DIALECTS.keys())
def test_each_dialect_gives_the_clean_table(read: Any, content: str | bytes, rows: list[list[str]]) -> None:
    reading = read(content)
    assert products(reading) == expected(rows)
    assert reading.rejects.empty


def test_there_are_many_dialects() -> None:
    assert len(DIALECTS) >= 80
    assert len(
        {content if isinstance(content, bytes) else content.encode() for content, _ in DIALECTS.values()}
    ) == len(DIALECTS)


@pytest.mark.parametrize("name", ["utf-8 with bytes of cp1252", "cp1252", "shift_jis", "NUL padding", "preamble of 3"])
def test_what_was_not_read_literally_is_a_note(read: Any, name: str) -> None:
    assert read(DIALECTS[name][0]).notes != []


# --- one bad row --------------------------------------------------------------------------------------------------

FAULTS: dict[str, Callable[[list[str], str], str]] = {
    "first field is missing": lambda fields, sign: sign.join(fields[1:]),
    "middle field is missing": lambda fields, sign: sign.join(fields[:2] + fields[3:]),
    "last field is missing": lambda fields, sign: sign.join(fields[:-1]),
    "only the first field": lambda fields, sign: fields[0],
    "one field more": lambda fields, sign: sign.join([*fields, "more"]),
    "one empty field more": lambda fields, sign: sign.join([*fields, ""]),
    "delimiter in a name": lambda fields, sign: sign.join([fields[0], f"red{sign} blue", *fields[2:]]),
    "open quote in the first field": lambda fields, sign: sign.join(['"' + fields[0].strip('"'), *fields[1:]]),
    "open quote in the middle": lambda fields, sign: sign.join([*fields[:1], '"' + fields[1].strip('"'), *fields[2:]]),
    "open quote in the last field": lambda fields, sign: sign.join([*fields[:-1], '"' + fields[-1].strip('"')]),
    "stray quote in quotes": lambda fields, sign: sign.join([fields[0], '"19" screen"', *fields[2:]]),
    "closing quote only": lambda fields, sign: sign.join([fields[0], 'screen"', *fields[2:]]),
    "text after a quote": lambda fields, sign: sign.join([fields[0], '"screen" black', *fields[2:]]),
    "NUL in a name": lambda fields, sign: sign.join([fields[0], "screen\0black", *fields[2:]]),
    "byte that is no text": lambda fields, sign: sign.join([fields[0], "screen\udc81black", *fields[2:]]),
    "line break without quotes": lambda fields, sign: sign.join([fields[0], "screen\nblack", *fields[2:]]),
    "line break without quotes at the end": lambda fields, sign: sign.join(fields) + f"\nand{sign}more",
}  # fmt: skip
STYLES: dict[str, dict[str, Any]] = {
    "comma, quotes where needed": {"delimiter": ",", "quoting": MINIMAL},
    "semicolon, quotes everywhere": {"delimiter": ";", "quoting": ALL},
    "tab, quotes where needed": {"delimiter": "\t", "quoting": MINIMAL},
    "comma, no field with quotes": {"delimiter": ",", "quoting": MINIMAL, "plain": True},
}


@pytest.mark.parametrize("at", [0, BAD, ROWS - 1])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_bad_row_is_rejected_with_its_line_and_all_others_are_read(
    read: Any, fault: str, style: str, at: int
) -> None:
    options = dict(STYLES[style])
    rows = PLAIN if options.pop("plain", False) else WESTERN
    if fault == "closing quote only" and rows is PLAIN:
        pytest.skip("without other quotes in the file, it is a sign of inches")
    before = written(rows[:at], **options)
    fields = written([plain([rows[at]])[0]], **options).splitlines()[1].split(options["delimiter"])
    after = written(rows[at + 1 :], **options).partition("\n")[2]
    content = before + FAULTS[fault](fields, options["delimiter"]) + "\n" + after
    reading = read(content.encode("utf-8", "surrogateescape"), rejected_share=0.1)
    line = len(lines_of(before)) + 1
    broken = 2 if fault.startswith("line break") else 1
    if fault == "line break without quotes at the end":  # the row is whole, and another one follows
        line, broken = line + 1, 1
        rows = [*rows[:at], *plain([rows[at]]), *rows[at + 1 :]]
    assert products(reading) == expected(rows, None if fault.endswith("at the end") else at)
    assert reading.rejects["line"].tolist() == list(range(line, line + broken))
    assert all(len(reason) > 10 for reason in reading.rejects["reason"])


def test_an_open_quote_that_a_later_stray_quote_closes_loses_only_the_two_rows(read: Any) -> None:
    lines = CLEAN_PLAIN.splitlines()
    lines[5] = lines[5].replace("A-004,", 'A-004,"')
    lines[9] = lines[9].replace(",Haus", '",Haus').replace(',Acme"', ',Acme"')
    lines[9] = re.sub(r"^(A-008,[^,]*)[^\n]*?,(.*)$", r'\1",\2', lines[9].replace('"', ""))
    reading = read("\n".join(lines), rejected_share=0.1)
    assert 6 in reading.rejects["line"].tolist()
    names = {row[0]: row[1] for row in products(reading)}
    assert all(names[row[0]] == row[1] for row in expected(PLAIN) if row[0] in names and row[0] != "A-008")
    assert len(names) >= 18


def test_a_row_with_an_empty_field_more_is_rejected_where_others_have_none(read: Any) -> None:
    """A delimiter in an unquoted name would otherwise move all later fields by one."""
    rows = "".join(f"{number},http://a/{number}.jpg,Mug {number},Acme,red\n" for number in range(30))
    text = "id,image,name,brand,color\n" + rows + "30,http://a/30.jpg,Mug, large,Acme,\n"
    reading = read(text)
    assert reading.rejects["line"].tolist() == [32]
    assert "6 fields where the header has 5 (is a comma inside" in reading.rejects["reason"][0]


def test_another_table_in_the_same_file_refuses_it(read: Any) -> None:
    text = CLEAN_PLAIN + "name,id,brand,category,price,image\nMug,B-1,Acme,Home > Mugs,9.90,http://a/1.jpg\n"
    with pytest.raises(CatalogueError, match="line 22 is another header"):
        read(text)


def test_a_line_of_any_length_is_one_bad_row(read: Any) -> None:
    reading = read(insert(CLEAN_PLAIN, (3, "B," + "x," * (18 << 20) + "\n")))
    assert products(reading) == expected(PLAIN)
    assert reading.rejects["line"].tolist() == [4]
    assert "a line of more than 33,554,432 characters" in reading.rejects["reason"][0]


# --- the settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actual", [",", ";", "\t", "|", "^", "~"])
@pytest.mark.parametrize("configured", [",", ";", "\t", "|", "^", "~", ":", " "])
def test_a_delimiter_that_contradicts_the_file_is_refused_with_the_right_setting(
    read: Any, configured: str, actual: str
) -> None:
    content = written(WESTERN, actual)
    if configured == actual:
        assert products(read(content, delimiter=configured)) == expected(WESTERN)
        return
    with pytest.raises(CatalogueError) as refused:
        read(content, delimiter=configured)
    message = str(refused.value)
    assert "catalogue.delimiter is " in message
    setting = re.search(r"set (catalogue\.delimiter = .*?), or remove the setting", message)
    assert setting is not None
    pasted = tomllib.loads(setting[1])["catalogue"]
    assert products(read(content, **pasted)) == expected(WESTERN)


@pytest.mark.parametrize("delimiter", ['"', "'", "\\", "\n", "\r"])
def test_a_character_that_cannot_be_a_delimiter_is_refused(read: Any, delimiter: str) -> None:
    with pytest.raises((CatalogueError, ConfigurationError), match="delimiter"):
        read(CLEAN, delimiter=delimiter)


def test_an_unusual_delimiter_can_be_set(read: Any) -> None:
    for delimiter in (":", " ", "\x01", "\x1f", "¦", "x"):
        content = written(WESTERN, delimiter, ALL)
        assert products(read(content, delimiter=delimiter)) == expected(WESTERN), delimiter


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "iso-8859-15", "utf-8"])
def test_the_configured_encoding_is_used(read: Any, encoding: str) -> None:
    assert products(read(CLEAN.encode(encoding), encoding=encoding)) == expected(WESTERN)


def test_a_file_that_is_no_text_is_refused(read: Any) -> None:
    for content in (
        bytes(range(256)) * 20,
        b"\x7fELF\x02\x01\x01" + bytes(500),
        bytes(4096),
        b"id,name\n" + bytes(9999),
    ):
        with pytest.raises(CatalogueError, match=r"is not a text file|is empty|no column|is not a table"):
            read(content)
