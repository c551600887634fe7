"""Further photos of a product: fetched once, compared with each other, dropped with the row that listed them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from recsys.core.errors import PendingImagesError
from recsys.ingest.images import ledger, views
from recsys.ingest.images.fetch import fetch_images
from recsys.models import features
from recsys.storage.schemas import SCHEMAS
from recsys.storage.store import among
from sample_shop import SampleHost, SampleShop, draw_shop
from tests.recsys.ingest.images.test_ledger import change


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SampleShop:
    """A sample shop that draws three photos of each product."""
    return draw_shop(tmp_path_factory.mktemp("views"), products=50, seed=3, views=3, processes=1)


@pytest.fixture
def photos(shop: SampleShop) -> Iterator[list[list[str]]]:
    """The URLs of three photos each of some products, served by a real host; none of them is faulty."""
    from sample_shop.catalogue import pictures

    with SampleHost(shop.folder) as running:
        drawn = {tuple(p.name for p in pictures(3, index, 3)) for index in range(30)}
        whole = sorted(names for names in drawn if names and not shop.faults.keys() & set(names))
        yield [[f"{running.url}/images/{name}" for name in names] for names in whole]


def bring_up_to_date(store, configuration) -> list[views.ViewCounts]:
    """Fetch pictures and further photos as the flow does; return the counts of the further ones."""
    for shard in ledger.missing(store, configuration):
        ledger.fetch_shard(store, shard, configuration)
    return [views.fetch_shard(store, shard, configuration) for shard in views.missing(store, configuration)]


def statuses(store) -> dict[tuple[str, str], str]:
    """Return the status of each row, by product and URL."""
    return {(row["product_id"], row["url"]): row["status"] for row in store.read("views").to_pylist()}


def test_with_one_photo_per_product_no_further_url_is_requested(store, list_products, configuration, photos):
    list_products({"a": photos[0]})
    assert bring_up_to_date(store, configuration) == []
    assert not store.exists("views")
    assert views.of(store, ["a"]).values.tolist() == [["a", 0, digest_of(store, "a")]]


def digest_of(store, key) -> str:
    return store.read("images", ["image_digest"], among("product_id", [key]))["image_digest"][0].as_py()


def test_further_photos_are_fetched_once_and_keep_the_order_of_the_catalogue(
    store, list_products, configuration, photos
):
    configuration = change(configuration, views=3)
    list_products({"b": photos[1], "a": photos[0], "alone": photos[2][:1]})
    (counts,) = bring_up_to_date(store, configuration)
    assert (counts.ok, counts.same, counts.broken, counts.pending) == (4, 0, 0, 0)
    assert set(statuses(store)) == {
        (key, url) for key, urls in (("a", photos[0]), ("b", photos[1])) for url in urls[1:]
    }
    frame = views.of(store, ["a", "b", "alone", "unknown"])
    assert frame[["product_id", "view"]].values.tolist() == [
        *[["a", 0], ["a", 1], ["a", 2]],
        *[["b", 0], ["b", 1], ["b", 2]],
        ["alone", 0],
    ]
    assert frame["image_digest"].nunique() == 7
    assert frame["image_digest"][0] == digest_of(store, "a")
    assert views.missing(store, configuration) == []


def test_no_more_photos_are_fetched_than_set(store, list_products, configuration, photos):
    list_products({"a": photos[0]})
    (counts,) = bring_up_to_date(store, change(configuration, views=2))
    assert counts.ok == 1 and list(statuses(store)) == [("a", photos[0][1])]
    (more,) = bring_up_to_date(store, change(configuration, views=3))
    assert more.ok == 1 and len(statuses(store)) == 2
    assert bring_up_to_date(store, configuration) == []
    assert len(views.of(store, ["a"])) == 3, "stored photos stay when fewer are set"


def test_a_duplicate_is_not_a_further_photo(store, list_products, configuration, host, photos):
    """The same bytes under another URL, and the near-duplicate that a shop's smaller copy is."""
    configuration = change(configuration, views=4)
    list_products({"a": [host.url("ok", 1), host.url("ok", 2), photos[0][0], host.url("etag", 1)]})
    (counts,) = bring_up_to_date(store, configuration)
    assert (counts.ok, counts.same) == (1, 2)
    rows = {row["url"]: row for row in store.read("views").to_pylist()}
    assert rows[host.url("ok", 2)]["status"] == rows[host.url("etag", 1)]["status"] == "same"
    assert rows[host.url("etag", 1)]["image_digest"] != digest_of(store, "a"), "other bytes, one photo"
    assert rows[host.url("ok", 2)]["jpeg"] is rows[host.url("etag", 1)]["jpeg"] is None
    assert views.of(store, ["a"])["image_digest"].tolist() == [
        digest_of(store, "a"),
        rows[photos[0][0]]["image_digest"],
    ]
    assert views.missing(store, configuration) == []


def test_a_broken_photo_has_its_cause_and_is_not_requested_again(store, list_products, configuration, host):
    configuration = change(configuration, views=3)
    list_products({"a": [host.url("ok"), host.url("404"), host.url("html")]})
    (counts,) = bring_up_to_date(store, configuration)
    assert counts.broken == 2
    assert {row["cause"] for row in store.read("views").to_pylist()} == {"http_404", "not_an_image"}
    requests_before = dict(host.requests)
    assert bring_up_to_date(store, configuration) == [] and host.requests == requests_before


def test_a_forbidden_address_is_never_requested(store, list_products, configuration, host):
    list_products({"a": [host.url("ok"), "http://169.254.169.254/latest/meta-data"]})
    (counts,) = bring_up_to_date(store, change(configuration, views=2))
    assert counts.broken == 1
    assert [row["cause"] for row in store.read("views").to_pylist()] == ["private_address"]


def test_pending_photos_fail_the_shard_after_the_commit_and_only_they_are_requested_again(
    store, list_products, configuration, host, photos
):
    configuration = change(configuration, views=3, deadline_s=1)
    busy = host.url("429_for_an_hour_then_ok")
    list_products({"a": [photos[0][0], busy, photos[0][1]]})
    for shard in ledger.missing(store, configuration):
        ledger.fetch_shard(store, shard, configuration)
    (first,) = views.missing(store, configuration)
    with pytest.raises(PendingImagesError, match="views 1/1: 1 of 2 further photos are pending"):
        views.fetch_shard(store, first, configuration)
    assert statuses(store) == {("a", busy): "pending", ("a", photos[0][1]): "ok"}
    (again,) = views.missing(store, configuration)
    assert again.keys == first.keys and again.digest != first.digest
    with pytest.raises(PendingImagesError, match="1 of 1"):
        views.fetch_shard(store, again, configuration)
    assert views.fetch_shard(store, again, configuration).ok == 1
    assert store.read("views", ["attempts"], "attempts = 2").num_rows == 1, "the attempts of all runs are counted"


def test_a_row_that_changes_loses_the_photos_that_it_no_longer_lists(store, list_products, configuration, photos):
    configuration = change(configuration, views=3)
    list_products({"a": photos[0], "b": photos[1]})
    bring_up_to_date(store, configuration)
    list_products({"a": [photos[0][0], photos[2][1]], "b": photos[1][:1]})
    (counts,) = bring_up_to_date(store, configuration)
    assert counts.ok == 1
    assert statuses(store) == {("a", photos[2][1]): "ok"}
    assert views.of(store, ["a", "b"])["view"].tolist() == [0, 1, 0]
    assert views.missing(store, configuration) == []


def test_a_photo_that_moved_to_another_address_is_kept(store, list_products, configuration, photos):
    """Its old row does not make it a duplicate."""
    configuration = change(configuration, views=2)
    list_products({"a": photos[0][:2]})
    bring_up_to_date(store, configuration)
    before = views.of(store, ["a"])
    list_products({"a": [photos[0][0], photos[0][1] + "?v=2"]})
    bring_up_to_date(store, configuration)
    assert views.of(store, ["a"]).equals(before) and list(statuses(store).values()) == ["ok"]


def test_when_the_first_url_is_broken_the_next_is_the_picture_and_not_a_further_photo(
    store, list_products, configuration, host, photos
):
    configuration = change(configuration, views=3)
    list_products({"a": [host.url("404"), *photos[0]]})
    (counts,) = bring_up_to_date(store, configuration)
    assert counts.ok == 2 and host.request_count("404") == 1
    assert ("a", photos[0][0]) not in statuses(store)


def test_products_without_a_picture_or_removed_ones_get_no_further_photos(
    store, list_products, configuration, host, photos
):
    configuration = change(configuration, views=3)
    list_products({"broken": [host.url("404", 1), host.url("404", 2)], "gone": photos[0]})
    for shard in ledger.missing(store, configuration):
        ledger.fetch_shard(store, shard, configuration)
    gone = store.read("products", where="product_id = 'gone'").to_pylist()[0]
    gone["removed"] = gone["changed"]
    store.write("products", pa.Table.from_pylist([gone], schema=SCHEMAS["products"]))
    assert views.missing(store, configuration) == []


def test_a_photo_that_many_products_list_is_left_out(store, list_products, configuration, host, photos, monkeypatch):
    """A size chart among the photos of every shirt would make them one product."""
    monkeypatch.setattr(views, "MAX_PRODUCTS", 2)
    chart = host.url("ok", "size-chart")
    list_products({f"p{n}": [*photos[n][:2], chart] for n in range(3)})
    bring_up_to_date(store, change(configuration, views=3))
    assert list(statuses(store).values()) == ["ok"] * 6
    assert views.of(store, ["p0", "p1", "p2"])["view"].tolist() == [0, 1] * 3


def test_shards_are_smaller_where_products_have_more_photos(store, list_products, configuration, photos):
    list_products({f"p{n}": photos[n] for n in range(4)})
    configuration = change(configuration, views=3, shard_size=4)
    for shard in ledger.missing(store, configuration):
        ledger.fetch_shard(store, shard, configuration)
    shards = views.missing(store, configuration)
    assert [shard.keys for shard in shards] == [("p0", "p1"), ("p2", "p3")]
    outcomes: list[str] = []
    views.fetch_shard(store, shards[0], configuration, outcomes.append)
    assert outcomes == ["with 3 photos"] * 2


def test_ids_and_urls_may_hold_anything(store, list_products, configuration, photos):
    key, odd = 'O\'Brien "x" %_', photos[0][1] + "?q='1'%20--"
    configuration = change(configuration, views=3)
    list_products({key: [photos[0][0], odd, photos[0][2]]})
    (counts,) = bring_up_to_date(store, configuration)
    assert counts.ok == 2
    list_products({key: [photos[0][0], photos[0][2]]})
    bring_up_to_date(store, configuration)
    assert statuses(store) == {(key, photos[0][2]): "ok"}


def test_features_are_computed_of_further_photos_too(store, list_products, configuration, host, photos):
    configuration = change(configuration, views=3)
    list_products({"a": [*photos[0][:2], photos[0][0] + "?again"], "b": photos[1][:1]})
    bring_up_to_date(store, configuration)
    (shard,) = features.missing(store, configuration)
    assert list(shard.keys) == [
        *sorted([digest_of(store, "a"), digest_of(store, "b")]),
        views.of(store, ["a"])["image_digest"][1],
    ]
    assert features.extract_shard(store, shard, configuration).images == 3
    assert features.missing(store, configuration) == []


def test_a_shop_without_further_urls_makes_no_table(store, list_products, configuration, photos):
    list_products({"a": photos[0][:1]})
    assert bring_up_to_date(store, change(configuration, views=5)) == []
    assert not store.exists("views")


def test_the_sample_shops_further_photos_are_no_near_duplicates(shop, photos, configuration):
    from recsys.ingest.images.item import Item
    from recsys.vision.perceptual_hash import fingerprint, one_photo
    from recsys.vision.square import decode_squared

    items = [Item(url, (url,)) for urls in photos for url in urls]
    jpegs = [outcome.image.jpeg for outcome in fetch_images(items, configuration.images)]
    signs = {item.product_id: fingerprint(decode_squared(jpeg)) for item, jpeg in zip(items, jpegs, strict=True)}
    same = [
        one_photo(signs[one], pa.array([signs[other]]).to_numpy())[0]
        for urls in photos
        for one, other in ((urls[0], urls[1]), (urls[0], urls[2]), (urls[1], urls[2]))
    ]
    assert len(same) > 50 and sum(same) <= 0.02 * len(same)
