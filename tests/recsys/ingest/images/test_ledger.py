"""The stage on the store: missing images are fetched once, committed a shard at a time, and counted."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from recsys.core.configuration import load
from recsys.core.errors import NoImagesError, PendingImagesError
from recsys.ingest.causes import CAUSES, explain, fetch_error
from recsys.ingest.images import ledger
from recsys.ingest.images.ledger import (
    FetchCounts,
    Recheck,
    broken_by_cause,
    broken_by_host,
    broken_links,
    count_images,
    fetch_shard,
    missing,
    replace_placeholders,
    require_images,
    write_broken_links,
)
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import Store
from recsys.vision.square import decode_squared
from tests.recsys.ingest.images.test_fetch import answering
from tests.recsys.vision.pictures import picture, saved
from tests.waiting import wait_for


def fetch_all(store, configuration) -> None:
    for shard in missing(store, configuration):
        fetch_shard(store, shard, configuration)


def rows(store) -> dict[str, dict]:
    return {row["product_id"]: row for row in store.read("images").to_pylist()}


def change(configuration, **settings):
    return configuration.model_copy(update={"images": configuration.images.model_copy(update=settings)})


def test_missing_products_are_split_into_shards_in_the_order_of_the_catalogue(store, list_products, configuration):
    list_products({key: [f"http://shop.example/{key}.jpg"] for key in "zyxwv"})
    shards = missing(store, change(configuration, shard_size=2))
    assert [shard.keys for shard in shards] == [("z", "y"), ("x", "w"), ("v",)]
    assert [shard.digest for shard in shards] == [s.digest for s in missing(store, change(configuration, shard_size=2))]


def test_nothing_is_missing_from_an_empty_store(store, configuration):
    assert missing(store, configuration) == []


def test_a_shard_is_fetched_squared_and_counted(store, list_products, configuration, host):
    list_products({"a": [host.url("ok", 1)], "b": [host.url("404", 2)], "c": [host.url("503_then_ok", 3)]})
    progress: list[str] = []
    (shard,) = missing(store, configuration)
    counts = fetch_shard(store, shard, configuration, progress.append)
    assert (counts.ok, counts.broken, counts.pending, counts.bytes) == (2, 1, 0, 2 * len(host.jpeg))
    assert counts.seconds > 0 and sorted(progress) == ["broken", "ok", "ok"]
    ledger_rows = rows(store)
    assert {key: (row["status"], row["cause"], row["attempts"]) for key, row in ledger_rows.items()} == {
        "a": ("ok", None, 0),
        "b": ("broken", "http_404", 0),
        "c": ("ok", None, 2),
    }
    good = ledger_rows["a"]
    assert decode_squared(good["jpeg"]).shape == (256, 256, 3)
    assert (good["width"], good["height"], good["format"], good["http_code"]) == (600, 400, "JPEG", 200)
    assert (good["bytes"], len(good["image_digest"])) == (len(host.jpeg), 32)
    assert ledger_rows["b"]["jpeg"] is None and ledger_rows["b"]["http_code"] == 404


def test_ok_and_broken_products_are_not_requested_again(store, list_products, configuration, host):
    list_products({"a": [host.url("ok")], "b": [host.url("404")], "c": [host.url("500")]})
    (shard,) = missing(store, configuration)
    fetch_shard(store, shard, configuration)
    requests_before = dict(host.requests)
    assert missing(store, configuration) == []
    counts = fetch_shard(store, shard, configuration)
    assert (counts.ok, counts.broken, counts.pending) == (0, 0, 0)
    assert host.requests == requests_before


def test_a_removed_product_is_not_fetched(store, list_products, configuration, host):
    list_products({"a": [host.url("ok", 1)], "b": [host.url("ok", 2)]})
    (shard,) = missing(store, configuration)
    gone = store.read("products", where="product_id = 'b'").to_pylist()[0]
    gone["removed"] = gone["changed"]
    store.write("products", pa.Table.from_pylist([gone], schema=SCHEMAS["products"]))
    assert missing(store, configuration)[0].keys == ("a",)
    fetch_shard(store, shard, configuration)
    assert host.request_count("ok", 2) == 0
    assert require_images(store, configuration).total == 1


def test_changed_urls_are_fetched_again_even_when_they_change_back(store, list_products, configuration, host):
    before, after = {"a": [host.url("ok", 1)]}, {"a": [host.url("ok", 2)]}
    list_products(before)
    first = missing(store, configuration)[0]
    fetch_shard(store, first, configuration)
    list_products(after)
    second = missing(store, configuration)[0]
    fetch_shard(store, second, configuration)
    assert rows(store)["a"]["url"] == host.url("ok", 2)
    list_products(before)
    third = missing(store, configuration)[0]
    fetch_shard(store, third, configuration)
    assert rows(store)["a"]["url"] == host.url("ok", 1)
    assert len({first.digest, second.digest, third.digest}) == 3


def test_a_host_that_is_down_leaves_its_items_pending_and_a_retry_requests_only_those(
    store, list_products, configuration, host
):
    with socket.socket() as bound:  # a port that refuses until the host listens on it
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        products = {f"down{n}": [f"http://127.0.0.1:{port}/ok/{n}"] for n in range(12)}
        list_products(products | {"a": [host.url("ok")], "b": [host.url("404")]})
        (shard,) = missing(store, configuration)
        with pytest.raises(PendingImagesError, match=rf"images 1/1: 12 of 14 images are pending.*127.0.0.1:{port}"):
            fetch_shard(store, shard, configuration)
    state = rows(store)
    assert {(row["status"], row["cause"], row["attempts"]) for key, row in state.items() if "down" in key} == {
        ("pending", "host_down", 0)
    }
    assert (state["a"]["status"], state["b"]["status"]) == ("ok", "broken")
    again = missing(store, configuration)
    assert again[0].keys == tuple(products) and again[0].digest != shard.digest

    list_products({key: [host.url("ok", key)] for key in products})  # it is back, so to say
    counts = fetch_shard(store, shard, configuration)
    assert (counts.ok, counts.broken, counts.pending) == (12, 0, 0)
    assert host.request_count("ok") == 1 and host.request_count("404") == 1


def test_a_pending_item_continues_with_its_url_and_attempts(store, list_products, configuration, host):
    """In the ledger its first URL is broken, and its second has one of three attempts left."""
    list_products({"a": [host.url("404"), host.url("500"), host.url("ok")]})
    (shard,) = missing(store, configuration)
    (product,) = ledger._products(store, ["product_id", "image_urls"])
    row = dict.fromkeys(SCHEMAS["images"].names) | {
        "product_id": "a",
        "urls_digest": ledger._urls_digest(product),
        "status": "pending",
        "cause": "http_500",
        "attempts": 2,
        "url": host.url("500"),
    }
    store.write("images", pa.Table.from_pylist([row], schema=SCHEMAS["images"]))
    fetch_shard(store, shard, configuration)
    assert (host.request_count("404"), host.request_count("500"), host.request_count("ok")) == (0, 1, 1)
    assert rows(store)["a"]["status"] == "ok"


def test_a_catalogue_with_images_is_counted(store, list_products, configuration, host):
    list_products({"a": [host.url("ok")], "b": [host.url("404")], "c": []})
    fetch_all(store, configuration)
    counts = require_images(store, configuration)
    assert (counts.ok, counts.broken, counts.pending, counts.bytes) == (1, 2, 0, len(host.jpeg))
    assert str(counts) == "1 ok, 2 broken, 0 pending"


def test_a_catalogue_without_one_good_url_is_an_error_with_the_causes(store, list_products, configuration, host):
    list_products({"a": [host.url("404", 1)], "b": [host.url("404", 2)], "c": [host.url("html")]})
    fetch_all(store, configuration)
    with pytest.raises(NoImagesError) as error:
        require_images(store, configuration)
    message = str(error.value)
    assert "3 of 3 image URLs are broken" in message and "\n" not in message
    assert message.index("2 http_404") < message.index("1 not_an_image")
    assert explain("http_404").remedy in message


def test_a_catalogue_without_products_has_no_images(store, configuration):
    with pytest.raises(NoImagesError, match="has no products"):
        require_images(store, configuration)


def test_the_run_continues_while_few_images_are_pending(store, list_products, configuration, host):
    list_products({"a": [host.url("ok")]})
    fetch_all(store, configuration)
    list_products({"a": [host.url("ok")], "b": ["http://shop.example/b.jpg"]})
    with pytest.raises(PendingImagesError, match=r"1 of 2 images are pending.*shop\.example"):
        require_images(store, configuration)
    counts = require_images(store, change(configuration, pending_share=0.5))
    assert (counts.ok, counts.pending) == (1, 1)


def test_broken_links_are_listed_by_cause_and_one_by_one(store, list_products, configuration, host):
    list_products(
        {"ok": [host.url("ok")], "no": []}
        | {f"{fault}{n}": [host.url(fault, n)] for fault, times in [("404", 3), ("html", 2)] for n in range(times)}
    )
    fetch_all(store, configuration)
    causes = broken_by_cause(store)
    assert causes[["cause", "products"]].values.tolist() == [["http_404", 3], ["not_an_image", 2], ["no_url", 1]]
    assert causes["share"].tolist() == [3 / 7, 2 / 7, 1 / 7]
    assert causes["example_url"].tolist() == [host.url("404", 0), host.url("html", 0), ""]
    assert all(causes["meaning"]) and all(causes["remedy"])
    links = broken_links(store)
    assert {"product_id", "name", "url", "host", "cause", "http_code", "attempts", "checked_at"} <= set(links.columns)
    assert links["product_id"].tolist() == ["no", "4040", "4041", "4042", "html0", "html1"]
    assert links["name"][0] == "Product no" and links["http_code"].iloc[1] == 404 and pd.isna(links["http_code"][0])


def test_with_nothing_broken_the_tables_are_empty_but_have_their_columns(store):
    assert list(broken_by_cause(store).columns) == ["cause", "products", "share", "example_url", "meaning", "remedy"]
    assert len(broken_by_cause(store)) == len(broken_links(store)) == 0


def test_product_ids_may_hold_anything(store, list_products, configuration, host):
    hostile = ["../../etc/passwd", "it's", '"; DROP TABLE images; --', "日本", "a\nb"]
    list_products({key: [host.url("ok", n)] for n, key in enumerate(hostile)})
    fetch_all(store, configuration)
    assert set(rows(store)) == set(hostile)
    assert missing(store, configuration) == []


def test_a_killed_process_loses_only_the_shard_in_flight(store, list_products, configuration, host):
    list_products({str(n): [host.url("ok" if n < 2 else "hang", n)] for n in range(4)})
    script = textwrap.dedent(f"""
        from recsys.core.configuration import load
        from recsys.ingest.images.ledger import fetch_shard, missing
        from recsys.storage.store import Store
        store = Store({str(store.home)!r})
        configuration = load(flags={{"images": {{"shard_size": 2, "allow_hosts": ["127.0.0.1"]}}}}, environ={{}})
        for shard in missing(store, configuration):
            fetch_shard(store, shard, configuration)
    """)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    wait_for(lambda: host.request_count("hang", 3))
    process.send_signal(signal.SIGKILL)
    process.wait()
    reopened = Store(store.home)
    assert set(rows(reopened)) == {"0", "1"}
    assert missing(reopened, configuration)[0].keys == ("2", "3")


def test_every_cause_has_a_meaning_and_a_remedy():
    for cause in [*CAUSES, "http_451", "http_599", "http_999"]:
        explanation = explain(cause)
        assert explanation.meaning and explanation.remedy
    assert explain("http_503").passing and not explain("http_404").passing
    assert type(fetch_error("http_503", "")).__name__ == "TransientFetchError"
    assert type(fetch_error("http_451", "")).__name__ == "PermanentFetchError"


@pytest.fixture
def fault_host(shared_data: Path, unused_port_number) -> Iterator[tuple[str, Path]]:
    """The real catalogue's image host; yields its address and the catalogue."""
    catalogue = shared_data / "flipkart-photos" / "catalogue.csv"
    command = [sys.executable, str(shared_data.parent / "tools" / "image_host.py"), "--catalogue", str(catalogue)]
    command += ["--broken", "62", "--flaky", "40", "--port", str(unused_port_number)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield f"http://127.0.0.1:{unused_port_number}", catalogue
    process.kill()
    process.wait()


@pytest.fixture
def unused_port_number() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.mark.shared
def test_each_link_of_the_real_catalogue_ends_with_its_cause(fault_host, store, list_products):
    address, catalogue = fault_host
    ids = pd.read_csv(catalogue)["uniq_id"]
    list_products({key: [f"{address}/image/{key}.jpeg"] for key in ids})
    configuration = load(flags={"images": {"shard_size": 1000, "allow_hosts": ["127.0.0.1"]}}, environ={})
    fetch_all(store, configuration)
    counts = require_images(store, configuration)
    assert (counts.ok, counts.broken, counts.pending) == (735, 62, 0)
    with urllib.request.urlopen(f"{address}/faults.json") as answer:
        faults = json.load(answer)
    named = {"404": "http_404", "410": "http_410", "403": "http_403", "500": "http_500", "hang": "timeout"}
    expected = {key: named.get(fault, fault) for key, fault in faults.items() if not fault.endswith("_then_ok")}
    assert {key: row["cause"] for key, row in rows(store).items() if row["status"] == "broken"} == expected


# --- rechecks ---------------------------------------------------------------------------------------------------------


def later() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=1)


def again(store, configuration, recheck: Recheck) -> FetchCounts:
    (shard,) = missing(store, configuration, recheck)
    return fetch_shard(store, shard, configuration, recheck=recheck)


def test_broken_links_are_rechecked_by_cause_and_age(store, list_products, configuration, host):
    products = {"gone": [host.url("404")], "page": [host.url("html")], "good": [host.url("ok")]}
    list_products(products)
    fetch_all(store, configuration)
    first = rows(store)
    assert missing(store, configuration) == []
    assert missing(store, configuration, Recheck("broken", first["gone"]["checked_at"] - timedelta(days=7))) == []
    counts = again(store, configuration, recheck := Recheck("broken", later(), ("http_404",)))
    assert (counts.total, counts.broken) == (1, 1)
    assert (host.request_count("404"), host.request_count("html"), host.request_count("ok")) == (2, 1, 1)
    state = rows(store)["gone"]
    assert (
        state["first_checked"] == first["gone"]["first_checked"] and state["checked_at"] > first["gone"]["checked_at"]
    )
    assert missing(store, configuration, Recheck("broken", state["checked_at"], recheck.causes)) == []


def test_a_broken_link_that_works_again_becomes_an_image_with_a_new_budget(store, list_products, configuration, host):
    list_products({"a": [host.url("503_then_ok")]})
    fetch_all(store, change(configuration, attempts=1))
    assert rows(store)["a"]["cause"] == "http_503"
    counts = again(store, change(configuration, attempts=2), Recheck("broken", later()))
    assert counts.ok == 1 and rows(store)["a"]["attempts"] == 1


def test_an_unchanged_picture_is_not_sent_again(store, list_products, configuration, host):
    list_products({"a": [host.url("etag")]})
    fetch_all(store, configuration)
    first = rows(store)["a"]
    assert first["etag"] == '"v1"' and first["last_modified"].startswith("Sun, 01 Nov 2026")
    counts = again(store, configuration, Recheck("ok", later()))
    assert counts.ok == 1 and host.request_count("etag") == 2
    second = rows(store)["a"]
    assert second["checked_at"] > first["checked_at"]
    assert {**second, "checked_at": None} == {**first, "checked_at": None}

    host.version = 2
    again(store, configuration, Recheck("ok", later()))
    third = rows(store)["a"]
    assert third["etag"] == '"v2"' and third["image_digest"] != first["image_digest"]


def test_a_picture_is_kept_until_its_link_is_broken_permanently(store, list_products, configuration, host):
    """A temporary failure of the host does not lose the picture; a permanent one does."""
    list_products({"hangs": [host.url("503_then_ok", "a")], "gone": [host.url("ok", "b")]})
    fetch_all(store, configuration)
    before = rows(store)
    host.requests["/503_then_ok/a"] = 0  # it has two bad answers again
    host.jpeg, jpeg = b"<html>Product removed</html>", host.jpeg
    counts = again(store, change(configuration, attempts=1), Recheck("ok", later()))
    host.jpeg = jpeg
    assert (counts.ok, counts.broken) == (1, 1)
    after = rows(store)
    assert after["hangs"] == before["hangs"]
    assert (after["gone"]["status"], after["gone"]["cause"], after["gone"]["jpeg"]) == ("broken", "not_an_image", None)


def test_a_wait_beyond_the_deadline_leaves_a_product_pending_with_its_attempts(
    store, list_products, configuration, host
):
    """The host asks for an hour's pause. Two runs later the budget of attempts is spent."""
    list_products({"a": [host.url("429")]})
    settings = change(configuration, deadline_s=1, retry_after_max_s=3600)
    for attempts in (1, 2):
        with pytest.raises(PendingImagesError):
            fetch_all(store, settings)
        state = rows(store)["a"]
        assert (state["status"], state["cause"], state["attempts"]) == ("pending", "http_429", attempts)
    fetch_all(store, settings)
    assert (rows(store)["a"]["status"], rows(store)["a"]["attempts"]) == ("broken", 3)


def test_a_body_that_drips_cannot_outlast_the_deadline(store, list_products, configuration, host):
    list_products({"a": [host.url("drip", n) for n in range(50)]})
    began = time.monotonic()
    with pytest.raises(PendingImagesError):
        fetch_all(store, change(configuration, timeout_s=0.5, deadline_s=2))
    assert time.monotonic() - began < 4


def test_products_that_another_of_their_urls_rescued_are_counted(store, list_products, configuration, host):
    list_products({"a": [host.url("404"), host.url("ok", 1)], "b": [host.url("ok", 2)]})
    (shard,) = missing(store, configuration)
    assert fetch_shard(store, shard, configuration).rescued == 1
    assert count_images(store).rescued == 1


def categories(store, paths: dict[str, str]) -> None:
    """Put products into top levels."""
    found = store.read("products").to_pylist()
    changed = [row | {"category_path": [paths.get(row["product_id"], "Watches")]} for row in found]
    store.write("products", pa.Table.from_pylist(changed, schema=SCHEMAS["products"]))


def test_a_picture_of_many_products_of_several_kinds_is_a_placeholder(store, list_products, configuration, host):
    """Twelve products say "no image available" by the same picture; one of them lists another, one comes later."""
    configuration = change(configuration, placeholder_products=10, placeholder_share=0.1)
    same = {f"p{n}": [host.url("ok", n)] for n in range(12)}
    list_products(same | {"p3": [host.url("ok", 3), host.url("etag", 3)], "other": [host.url("etag", "other")]})
    categories(store, {f"p{n}": f"kind {n % 3}" for n in range(12)})
    fetch_all(store, configuration)
    assert count_images(store).ok == 13
    (shard,) = replace_placeholders(store, configuration)
    assert shard.keys == ("p3",)
    assert fetch_shard(store, shard, configuration).rescued == 1
    state = rows(store)
    assert {key for key, row in state.items() if row["cause"] == "placeholder"} == set(same) - {"p3"}
    assert all(row["jpeg"] is None for row in state.values() if row["status"] == "broken")
    assert state["p3"]["status"] == state["other"]["status"] == "ok"
    assert replace_placeholders(store, configuration) == [] == missing(store, configuration)

    list_products(same | {"p3": [host.url("ok", 3), host.url("etag", 3)], "late": [host.url("ok", "late")]})
    fetch_all(store, configuration)
    assert (rows(store)["late"]["status"], rows(store)["late"]["cause"]) == ("broken", "placeholder")


def test_sizes_of_one_shirt_may_share_a_picture(store, list_products, configuration, host):
    configuration = change(configuration, placeholder_products=5, placeholder_share=0.1)
    list_products({f"p{n}": [host.url("ok", n)] for n in range(12)})
    categories(store, {f"p{n}": "Clothing" for n in range(12)})
    fetch_all(store, configuration)
    assert replace_placeholders(store, configuration) == []
    assert count_images(store).ok == 12


def test_broken_links_go_to_a_file_that_a_spreadsheet_may_open(store, list_products, configuration, host, tmp_path):
    list_products({"=1+1": [host.url("404", 1)], "b": [host.url("404", 2)], "ok": [host.url("ok")], "no": []})
    fetch_all(store, configuration)
    assert write_broken_links(store, tmp_path / "new" / "broken.csv") == 3
    written = pd.read_csv(tmp_path / "new" / "broken.csv", dtype=str)
    assert written["product_id"].tolist() == ["'=1+1", "b", "no"]
    assert written["cause"].tolist() == ["http_404", "http_404", "no_url"]
    assert written["host"][0] == f"127.0.0.1:{host.port}" and written["remedy"].notna().all()
    hosts = broken_by_host(store)
    assert hosts[["host", "products", "causes"]].values.tolist() == [
        [f"127.0.0.1:{host.port}", 2, "2 http_404"],
        ["", 1, "1 no_url"],
    ]


def test_invalid_headers_do_not_harm_the_ledger(store, list_products, configuration):
    """With an ETag that is not text and an invalid status line, the row is still written."""
    body = saved(picture(), "PNG")
    answer = b'HTTP/1.1 200 \xff\xfe\r\nETag: "\xff\xfe\xc3\x28"\r\nContent-Length: %d\r\n\r\n' % len(body) + body
    with answering(answer) as (port, _):
        list_products({"a": [f"http://127.0.0.1:{port}/a.png"]})
        fetch_all(store, configuration)
    assert (rows(store)["a"]["status"], rows(store)["a"]["etag"]) == ("ok", None)
