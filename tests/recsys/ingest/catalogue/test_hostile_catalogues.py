"""Hostile catalogues: each is refused with a typed error, or its bad rows are rejected, in bounded memory.

The files that expand are read in one child process, whose peak memory is measured after each of them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.core.configuration import load
from recsys.core.errors import CatalogueError, FetchError, RecsysError
from recsys.ingest.catalogue.reading import Reading, read_catalogue
from recsys.ingest.images.files import read_image_file
from tests.recsys.ingest.catalogue.conftest import zipped

MB = 1 << 20
MAX_BYTES = 50 * MB
"""`catalogue.max_bytes` of compressed files; for others it is the default."""
PEAK_MB = 700
"""Largest accepted peak memory of the whole process, of which the libraries take some 250."""
ZEROS = bytes(10 * MB)


# --- files that expand --------------------------------------------------------------------------------------------

TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override '
    'PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
)
RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}'
    "</Relationships>"
)
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATION = f'<Relationship Id="rId1" Type="{OFFICE}/{{}}" Target="{{}}"/>'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def workbook(sheet: str, **parts: str) -> bytes:
    """Return a workbook with these rows, as XML, and further parts."""
    files = {
        "[Content_Types].xml": TYPES,
        "_rels/.rels": RELATIONS.format(RELATION.format("officeDocument", "xl/workbook.xml")),
        "xl/_rels/workbook.xml.rels": RELATIONS.format(RELATION.format("worksheet", "worksheets/sheet1.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        '<sheet name="P" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{sheet}</sheetData></worksheet>',
        **{f"xl/{name}.xml": part for name, part in parts.items()},
    }
    return zipped({name: part.encode() for name, part in files.items()})


def row(number: int, *cells: str) -> str:
    """Return a row of a sheet; a cell that begins with `<` is XML."""
    names = [f"{letter}{number}" for letter in "ABCDEFGH"]
    written = (
        f'<c r="{name}">{cell}</c>'
        if cell.startswith("<")
        else f'<c r="{name}" t="inlineStr"><is><t>{cell}</t></is></c>'
        for name, cell in zip(names, cells, strict=False)
    )
    return f'<row r="{number}">{"".join(written)}</row>'


HEADER = row(1, "id", "name", "price", "image")
SHEET = HEADER + "".join(row(n, str(n), f"Mug {n}", "<v>9.9</v>", f"http://a/{n}.jpg") for n in range(2, 6))


def parquet(table: pa.Table, **options: Any) -> bytes:
    content = io.BytesIO()
    pq.write_table(table, content, **options)
    return content.getvalue()


def varint(number: int, length: int = 0) -> bytes:
    """Return a number as the metadata of Parquet has it, if needed with more bytes than it takes."""
    zigzag, written = 2 * number, bytearray()
    while zigzag > 127 or len(written) < length - 1:
        written.append(zigzag & 127 | 128)
        zigzag >>= 7
    return bytes([*written, zigzag])


def with_small_sizes(content: bytes) -> bytes:
    """Return a Parquet file whose metadata state that each column takes 100 bytes."""
    group = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
    start = len(content) - struct.unpack("<I", content[-8:-4])[0] - 8
    footer = content[start:]
    for stated in (
        group.total_byte_size,
        *(group.column(at).total_uncompressed_size for at in range(group.num_columns)),
    ):
        size = varint(stated)
        assert size in content[start:]
        footer = footer.replace(size, varint(100, len(size)))
    return content[:start] + footer


def repeated_text(length: int, rows: int) -> pa.Table:
    """Return a table in which a text of this length repeats, which the file has once."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * length]))
    return pa.table({"id": list(map(str, range(rows))), "name": texts, "image": ["http://a/1.jpg"] * rows})


def small_zip_sizes() -> bytes:
    """Return a workbook with a large sheet whose size is stated as 10 bytes."""
    content = bytearray(workbook(SHEET + " " * (300 * MB)))
    entry = content.rfind(b"PK\x01\x02")
    struct.pack_into("<I", content, entry + 24, 10)
    return bytes(content)


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1 if n > 1 else str()};" * 10}">' for n in range(1, 10))
    + "]>"
)
BOMBS: dict[str, Callable[[], bytes]] = {
    "1 GB.csv.gz": lambda: gzip.compress(ZEROS) * 100,
    "1 GB of rows.csv.gz": lambda: gzip.compress(b"id,name,image\n" + b"1,a,http://a\n" * 500_000) * 200,
    "1 GB.csv.bz2": lambda: bz2.compress(ZEROS) * 100,
    "1 GB.csv.xz": lambda: lzma.compress(ZEROS) * 100,
    "1 GB.csv.zst": lambda: zstd(ZEROS) * 100,
    "300 MB.zip": lambda: zipped({"a.csv": b"id,name\n" + ZEROS * 30}),
    "one line.csv": lambda: b"id,name,image\n1," + b"x" * (100 * MB) + b",http://a/1.jpg\n2,a,http://a/2.jpg\n",
    "one quoted field.csv": lambda: (
        b'id,name,image\n1,"' + b"x\n" * (45 * MB // 2) + b'",http://a\n2,a,http://a/2.jpg\n'
    ),
    "one text.json": lambda: b'[{"id":"' + b"x" * (100 * MB) + b'"}]',
    "one text.jsonl": lambda: b'{"id":"' + b"x" * (100 * MB) + b'"}\n{"id":"2"}\n',
    "endless text.json": lambda: b'[{"id":"' + b"x" * (100 * MB),
    "endless numbers.json": lambda: b'[{"id":[' + b"1," * (50 * MB),
    "endless arrays.json": lambda: b'[{"id":[' + b"[]," * (30 * MB),
    "endless objects.json": lambda: b'[{"id":[{"a":1}' + b',{"a":1}' * (10 * MB),
    "many objects.json": lambda: b'{"x":[{"a":1}' + b',{"a":1}' * (5 * MB) + b"]}",
    "deep arrays.json": lambda: b'[{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
    "deep objects.json": lambda: b'{"id":' * 100_000 + b"1" + b"}" * 100_000,
    "deep objects.jsonl": lambda: (b'{"id":' * 100_000 + b"1" + b"}" * 100_000 + b"\n") * 2,
    "endless brackets.json": lambda: b"[" * (50 * MB),
    "wide object.json": lambda: b"[{" + b",".join(b'"a%d":1' % n for n in range(1_000_000)) + b"}]",
    "endless item.xml": lambda: b"<rss><channel><item>" + b"<x>1</x>" * (8 * MB),
    "endless elements.xml": lambda: b"<rss><channel>" + b"<x><y>1</y></x>" * (4 * MB),
    "endless text.xml": lambda: b"<rss><channel><item><id>1</id></item><item><id>" + b"x" * (100 * MB),
    "endless attribute.xml": lambda: b'<rss><channel><item a="' + b"x" * (100 * MB),
    "endless attributes.xml": lambda: b"<rss><channel><item " + b" ".join(b'a%d="1"' % n for n in range(2_000_000)),
    "endless comment.xml": lambda: b"<rss><channel><item><id>1</id></item><!--" + b"x" * (100 * MB),
    "endless name.xml": lambda: b"<rss><channel><" + b"x" * (100 * MB),
    "deep.xml": lambda: b"<rss><channel><item>" + b"<a>" * 1_000_000,
    "large sheet.xlsx": lambda: workbook(SHEET + " " * (300 * MB)),
    "large sheet with a small size.xlsx": small_zip_sizes,
    "far cell.xlsx": lambda: workbook(SHEET + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'),
    "farther cell.xlsx": lambda: workbook(SHEET + '<row r="4294967295"><c r="ZZZZZZ4294967295"><v>1</v></c></row>'),
    "repeated text.xlsx": lambda: workbook(
        HEADER + '<row r="2"><c r="A2" t="s"><v>0</v></c><c r="B2" t="s"><v>0</v></c></row>' * 20_000,
        sharedStrings=f"<sst><si><t>{'x' * 20 * MB}</t></si></sst>",
    ),
    "entities.xlsx": lambda: workbook(
        HEADER + '<row r="2"><c r="A2" t="s"><v>0</v></c></row>',
        sharedStrings=f'{ENTITIES}<sst xmlns="{MAIN}"><si><t>&lol9;</t></si></sst>',
    ),
    "repeated text.parquet": lambda: parquet(repeated_text(10 * MB, 100_000)),
    "compressed texts.parquet": lambda: parquet(
        pa.table({"id": ["x" * MB] * 200, "image": ["http://a"] * 200}), use_dictionary=False, compression="zstd"
    ),
    "compressed texts with small sizes.parquet": lambda: with_small_sizes(
        parquet(
            pa.table({"id": ["x" * MB] * 200, "image": ["http://a"] * 200}), use_dictionary=False, compression="zstd"
        )
    ),
    "a text of 40 MB.parquet": lambda: parquet(
        pa.table({"id": ["x" * 40 * MB], "image": ["http://a"]}), use_dictionary=False, compression="zstd"
    ),
}
CHILD = """
import json, re, sys
from pathlib import Path
from recsys.core.configuration import load
from recsys.core.errors import RecsysError
from recsys.ingest.catalogue.reading import read_catalogue

for path in sorted(Path(sys.argv[1]).iterdir()):
    limit = {} if path.suffix in (".csv", ".json", ".jsonl", ".xml") else {"max_bytes": int(sys.argv[2])}
    settings = load(None, {"catalogue": {"rejected_share": 0.9, **limit}}, environ={})
    try:
        reading = read_catalogue(str(path), settings, Path(sys.argv[1]).parent / "scratch")
        outcome = {"products": len(reading.products), "reasons": reading.rejects["reason"].tolist()}
    except RecsysError as error:
        outcome = {"error": type(error).__name__, "message": str(error)}
    except BaseException as error:
        outcome = {"untyped": f"{type(error).__name__}: {error}"[:500]}
    peak = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
    print(json.dumps({"name": path.name, "peak_mb": peak, **outcome}), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The outcome of each file that expands, and the peak memory up to then."""
    folder = tmp_path_factory.mktemp("bombs") / "files"
    results: dict[str, dict[str, Any]] = {}
    for part in range(0, len(BOMBS), 8):  # some at once, since the files take some space
        folder.mkdir()
        for name in list(BOMBS)[part : part + 8]:
            (folder / name).write_bytes(BOMBS[name]())
        command = [sys.executable, "-c", CHILD, str(folder), str(MAX_BYTES)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        results |= {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
        for file in folder.iterdir():
            results.setdefault(
                file.name, {"untyped": f"exit code {done.returncode}: {done.stderr[-2000:]}", "peak_mb": 0}
            )
            file.unlink()
        folder.rmdir()
    return results


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_file_that_expands_is_refused_in_bounded_memory(outcomes: dict[str, dict[str, Any]], name: str) -> None:
    outcome = outcomes[name]
    assert "untyped" not in outcome
    assert outcome.get("error") == "CatalogueError" or (outcome["products"] <= 5 and outcome["reasons"])
    assert "\n" not in outcome.get("message", "")
    assert len(outcome.get("message", "")) < 1_000
    assert outcome["peak_mb"] < PEAK_MB


# --- XML ----------------------------------------------------------------------------------------------------------

ITEM = "<rss><channel><item><id>{}</id><title>Mug</title><image_link>http://a/1.jpg</image_link></item></channel></rss>"


@pytest.mark.parametrize(
    "declaration",
    [
        ENTITIES,
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd">',
        '<!DOCTYPE a PUBLIC "-//x" "http://127.0.0.1:1/x.dtd">',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x.dtd"> %x;]>',
        "<!DOCTYPE a [<!ENTITY % x \"<!ENTITY y 'z'>\"> %x;]>",
        '<!DOCTYPE a [<!ENTITY x "' + "A" * 100_000 + '">]>',
        "<!DOCTYPE rss>",
    ],
    ids=[
        "entities",
        "external",
        "external DTD",
        "public DTD",
        "parameter",
        "parameter inside",
        "quadratic",
        "only a name",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_with_a_document_type_is_refused(read: Any, declaration: str, encoding: str) -> None:
    reference = "&lol9;" if "lol9" in declaration else "&x;" if "<!ENTITY x" in declaration else "1"
    content = (declaration + ITEM.format(reference)).encode(encoding)
    with pytest.raises(
        CatalogueError, match="declares XML entities or a document type, which may be an attack; remove"
    ):
        read(content, "feed.xml")


@pytest.mark.parametrize("reference", ["&x;", "&nbsp;", "&lol;"])
def test_an_entity_that_is_not_declared_is_damage(read: Any, reference: str) -> None:
    with pytest.raises(CatalogueError, match="is damaged XML"):
        read(ITEM.format(reference), "feed.xml")


# --- workbooks and Parquet files ----------------------------------------------------------------------------------


def test_a_workbook_gives_the_stored_results_of_formulas_and_a_note_on_missing_ones(read: Any) -> None:
    sheet = HEADER + "".join(
        row(number, str(number), "Mug", cell, "http://a/1.jpg")
        for number, cell in enumerate(["<f>1+1</f><v>2</v>", "<f>1+1</f>", "<v>3</v>"], start=2)
    )
    sheet += '<row r="5"><c r="A5"><v>5</v></c><c r="C5" t="e"><f>1/0</f><v>#DIV/0!</v></c>'
    sheet += '<c r="D5" t="str"><v>http://a/5.jpg</v></c></row>'
    reading = read(workbook(sheet), "c.xlsx")
    assert reading.products["price"].fillna(0).tolist() == [2, 0, 3, 0]
    assert any("2 cells have a formula without a stored result, or an error" in note for note in reading.notes)


def test_links_to_other_workbooks_and_formulas_that_call_programs_do_nothing(read: Any, tmp_path: Path) -> None:
    target = tmp_path / "made"
    formula = f"<f>[1]Other!A1+cmd|'/c touch {target}'!A0+WEBSERVICE(\"http://127.0.0.1:1\")</f><v>9.5</v>"
    links = f'<externalLink xmlns="{MAIN}"><externalBook r:id="rId1" xmlns:r="x"/></externalLink>'
    sheet = HEADER + row(2, "2", "=cmd|'/c calc'!A0", formula, "http://a/1.jpg")
    reading = read(workbook(sheet, **{"externalLinks/externalLink1": links}), "c.xlsx")
    assert reading.products["price"].tolist() == [9.5]
    assert reading.products["name"].tolist() == ["=cmd|'/c calc'!A0"]
    assert not target.exists()


@pytest.mark.parametrize("name", ["c.xlsx", "c.parquet", "c.json", "c.xml", "c.csv.gz", "c.zip", "c.xls"])
def test_damaged_files_give_typed_errors(read: Any, name: str) -> None:
    rows = [{"id": str(n), "name": f"Mug {n}", "image": f"http://a/{n}.jpg"} for n in range(20)]
    csv = "id,name,image\n" + "".join(f"{each['id']},{each['name']},{each['image']}\n" for each in rows)
    good = {
        "c.xlsx": lambda: workbook(SHEET),
        "c.parquet": lambda: parquet(pa.Table.from_pylist(rows)),
        "c.json": lambda: json.dumps(rows).encode(),
        "c.xml": lambda: ITEM.format(1).encode(),
        "c.csv.gz": lambda: gzip.compress(csv.encode()),
        "c.zip": lambda: zipped({"c.csv": csv.encode()}),
        "c.xls": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + workbook(SHEET),
    }[name]()
    random_numbers = random.Random(5)
    for _ in range(60):
        damaged = bytearray(good)
        for _ in range(random_numbers.randint(1, 5)):
            damaged[random_numbers.randrange(len(damaged))] = random_numbers.randrange(256)
        if random_numbers.random() < 0.3:
            del damaged[random_numbers.randrange(4, len(damaged)) :]
        try:
            read(bytes(damaged), name, rejected_share=0.99)
        except RecsysError as error:
            assert "\n" not in str(error)


# --- databases ----------------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE products (id TEXT, name TEXT, price REAL, image TEXT)")
        rows = [(f"A-{n}", f"Mug {n}", 9.9, f"http://a/{n}.jpg") for n in range(3)]
        connection.executemany("INSERT INTO products VALUES (?, ?, ?, ?)", rows)
    connection.close()
    return path


def query(source: str, tmp_path: Path, sql: str) -> Reading:
    return read_catalogue(source, load(None, {"catalogue": {"query": sql}}, environ={}), tmp_path / "scratch")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM products", "delete from products returning id, image", "DROP TABLE products", "VACUUM",
        "INSERT INTO products VALUES ('x', 'x', 1, 'x')", "UPDATE products SET price = 0", "CREATE TABLE x (a)",
        "WITH x AS (SELECT 1) DELETE FROM products", "PRAGMA query_only = OFF", "ATTACH '{folder}/new.db' AS x",
        "SELECT 1; DELETE FROM products", "/* SELECT */ DELETE FROM products", "-- SELECT\nDROP TABLE products",
    ],
)  # fmt: skip
def test_a_query_that_writes_changes_nothing(database: Path, tmp_path: Path, sql: str) -> None:
    before = database.read_bytes()
    with pytest.raises(CatalogueError) as refused:
        query(f"sqlite:///{database}", tmp_path, sql.replace("{folder}", str(tmp_path)))
    assert "catalogue.query" in str(refused.value)
    assert database.read_bytes() == before
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM products",
        "with x as (select * from products) select * from x",
        "-- all\nSELECT * FROM products WHERE name LIKE '%Mug%' AND '12:30' <> ':id'",
    ],
)
def test_a_query_that_reads_is_read_also_from_a_file_without_write_permission(
    database: Path, tmp_path: Path, sql: str
) -> None:
    database.chmod(0o400)
    assert query(f"sqlite:///{database}", tmp_path, sql).products["product_id"].tolist() == ["A-0", "A-1", "A-2"]


@pytest.mark.parametrize(
    "sql", ["", "  ", "SELECT * FROM missing", "SELECT nothing FROM products", "SELEC 1", "SELECT 1"]
)
def test_a_wrong_query_is_refused(database: Path, tmp_path: Path, sql: str) -> None:
    with pytest.raises(CatalogueError) as refused:
        query(f"sqlite:///{database}", tmp_path, sql)
    assert "\n" not in str(refused.value)
    assert "catalogue." in str(refused.value)


@pytest.mark.parametrize(("name", "reason"), [("missing.db", "does not exist"), ("folder", "is a directory"),
                                              ("text.db", "file is not a database")])  # fmt: skip
def test_what_is_no_database_is_refused_and_not_created(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.db").write_text("hello " * 1000)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(CatalogueError, match=reason):
        query(f"sqlite:///{tmp_path / name}", tmp_path, "SELECT 1 FROM products")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "scratch") == before


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:{}@127.0.0.1:1/shop", "postgresql://user:{}/x@127.0.0.1:1/shop",
        "postgresql://user:a@{}@127.0.0.1:1/shop", "postgresql://user:{}@127.0.0.1:port/shop",
        "postgresql://user:1:{}/a@127.0.0.1:1/shop", "postgresql://user:{}@[::1/shop",
        "postgresql://127.0.0.1:1/shop?user=a&password={}", "postgresql+psycopg://user:{}?@127.0.0.1:1/shop",
        "mysql://user:{}@127.0.0.1:1/shop", "nothing+driver://user:{}@host/shop", "sqlite://user:{}@host/shop",
        "mssql+pyodbc:///?odbc_connect=PWD%3D{}", "postgresql://user:{}#1@127.0.0.1:1/shop",
    ],
)  # fmt: skip
def test_a_password_is_in_no_message(tmp_path: Path, url: str) -> None:
    secret = "pw-Hidden-42"
    with pytest.raises(RecsysError) as refused:
        query(url.replace("{}", secret), tmp_path, "SELECT 1")
    error: BaseException | None = refused.value
    assert secret not in str(error)
    assert "Hidden" not in str(error)


# --- names of image files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "identifier",
    [
        "../secret", "../../../../../../etc/passwd", "/etc/passwd", "..", "../images/../secret", "%2e%2e/secret",
        "..%2fsecret", "a/../../secret", "....//secret", "..\\secret", "~/secret", "file:///etc/passwd", "a\0b", "\0",
        "link", "secret\0.jpg", "?x", "#x", "//host/secret",
    ],
)  # fmt: skip
def test_an_id_cannot_name_an_image_file_outside_the_folder(tmp_path: Path, identifier: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "1.jpg").write_bytes(b"picture")
    (folder / "images" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "secret.jpg").write_bytes(b"beside the images")
    header = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName\n"
    rows = "".join(f'"{each}",Men,Apparel,Topwear,Shirts,Blue,Fall,2011,Casual,Shirt\n' for each in ("1", identifier))
    (folder / "styles.csv").write_bytes((header + rows).encode())
    settings = load(None, {"catalogue": {"rejected_share": 0.9}}, environ={})
    try:
        reading = read_catalogue(str(folder / "styles.csv"), settings, tmp_path / "scratch")
    except CatalogueError:
        return
    assert reading.recognition.preset.name == "fashion_product_images"
    assert read_image_file(reading.products["image_urls"][0][0], reading.image_folder, MB) == b"picture"
    for (url,) in reading.products["image_urls"][1:]:
        assert not Path(unquote(urlsplit(url).path)).resolve().is_relative_to("/etc")
        with pytest.raises(FetchError):
            read_image_file(url, reading.image_folder, MB)
