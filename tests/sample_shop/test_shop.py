"""The folder of a shop: its catalogue with its dirt, its plan of faults, drawn once and the same every time."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from recsys.core import progress
from recsys.core.configuration import Images
from recsys.core.errors import CatalogueError, HomeError
from recsys.vision.square import square_image
from sample_shop import SampleShop, draw_shop, load_shop
from sample_shop.assortment import KINDS, product
from sample_shop.catalogue import COLUMNS, dirt, original, rows
from sample_shop.faults import FLAKY, PERMANENT, plan_faults
from sample_shop.shop import ALONE_BELOW
from tests.listening import Steps

pytestmark = pytest.mark.slow

REAL_COLUMNS = [
    "uniq_id",
    "crawl_timestamp",
    "product_url",
    "product_name",
    "product_category_tree",
    "pid",
    "retail_price",
    "discounted_price",
    "image",
    "is_FK_Advantage_product",
    "description",
    "product_rating",
    "overall_rating",
    "brand",
    "product_specifications",
]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_shop_byte_for_byte_with_any_number_of_processes(tmp_path: Path) -> None:
    alone = draw_shop(tmp_path / "alone", products=60, seed=3, processes=1)
    draw_shop(tmp_path / "two", products=60, seed=3, processes=2)
    assert alone.images >= ALONE_BELOW, "too few for a second process"
    assert digests(tmp_path / "alone") == digests(tmp_path / "two")


def test_another_seed_gives_another_shop() -> None:
    one, other = (list(rows(seed, 50, "http://shop")) for seed in (1, 2))
    assert not {row["uniq_id"] for row in one} & {row["uniq_id"] for row in other}
    assert [row["product_name"] for row in one] != [row["product_name"] for row in other]


@pytest.mark.parametrize("products", [-1, 0, 49, 100_001])
def test_a_size_out_of_range_is_refused_and_nothing_is_written(tmp_path: Path, products: int) -> None:
    with pytest.raises(ValueError, match="50 to 100,000"):
        draw_shop(tmp_path / "shop", products=products)
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize("views", [0, 9])
def test_a_number_of_pictures_out_of_range_is_refused(tmp_path: Path, views: int) -> None:
    with pytest.raises(ValueError, match="1 to 8 pictures"):
        draw_shop(tmp_path / "shop", products=50, views=views)
    assert not (tmp_path / "shop").exists()


def test_a_smaller_shop_is_the_beginning_of_a_larger_one() -> None:
    small, large = (list(rows(4, size, "http://shop"))[:60] for size in (60, 90))
    assert small[:60] == large[:60]


def test_drawing_again_draws_nothing_and_touches_nothing(shop: SampleShop) -> None:
    before = {path: path.stat().st_mtime_ns for path in shop.folder.rglob("*")}
    again = draw_shop(shop.folder, products=140, seed=7)
    assert again.drawn == 0 and shop.drawn == shop.images > 0
    assert {path: path.stat().st_mtime_ns for path in shop.folder.rglob("*")} == before
    assert load_shop(shop.folder) == again


def test_a_killed_draw_is_completed_and_only_what_was_missing_is_drawn(tmp_path: Path) -> None:
    whole = draw_shop(tmp_path, products=50, seed=3, processes=1)
    expected = digests(tmp_path)
    lost = sorted((tmp_path / "images").iterdir())[:5]
    for path in lost[:4]:
        path.unlink()
    lost[4].rename(lost[4].with_name(lost[4].name + ".part"))
    (tmp_path / "shop.json").unlink()
    with pytest.raises(CatalogueError, match="no complete sample shop"):
        load_shop(tmp_path)
    steps = Steps()
    with progress.listen(steps):
        completed = draw_shop(tmp_path, products=50, seed=3, processes=1)
    assert completed.drawn == steps.done == steps.total == 5
    assert digests(tmp_path) == expected
    assert completed.images == whole.images


def test_every_product_has_the_requested_number_of_pictures_and_only_missing_ones_are_drawn(tmp_path: Path) -> None:
    plain = draw_shop(tmp_path, products=50, seed=3, processes=1)
    listed = [json.loads(row["image"]) for row in read(plain.catalogue) if row["image"]]
    rich = draw_shop(tmp_path, products=50, seed=3, views=2, processes=1)
    more = [json.loads(row["image"]) for row in read(rich.catalogue) if row["image"]]
    assert {len(urls) for urls in more} == {2}
    assert all(urls[:2] == two[: len(urls)] for urls, two in zip(listed, more, strict=True))
    alone = {urls[0] for urls in listed if len(urls) == 1}
    assert rich.drawn == len(alone) and rich.images == len({url for urls in more for url in urls})
    assert draw_shop(tmp_path, products=50, seed=3, views=2, processes=1).drawn == 0


def test_a_lost_image_is_drawn_again(tmp_path: Path) -> None:
    draw_shop(tmp_path, products=50, seed=3, processes=1)
    next((tmp_path / "images").iterdir()).unlink()
    assert draw_shop(tmp_path, products=50, seed=3, processes=1).drawn == 1


def test_another_address_changes_the_catalogue_and_draws_nothing(tmp_path: Path) -> None:
    draw_shop(tmp_path, products=50, seed=3, processes=1)
    moved = draw_shop(tmp_path, products=50, seed=3, base_url="http://127.0.0.1:9000/", processes=1)
    assert moved.drawn == 0
    assert all("http://127.0.0.1:9000/images/" in row["image"] for row in read(moved.catalogue) if row["image"])


def test_a_folder_that_cannot_be_written_to_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(HomeError, match="cannot be written to") as error:
        draw_shop(tmp_path / "file", products=50)
    assert "\n" not in str(error.value)


def test_the_catalogue_has_the_columns_of_the_real_one(shop: SampleShop) -> None:
    catalogue = read(shop.catalogue)
    assert list(catalogue[0]) == REAL_COLUMNS == list(COLUMNS)
    assert len(catalogue) == shop.rows > shop.products == 140


def test_every_label_is_there_at_fifty_products_though_some_rows_are_dirty() -> None:
    catalogue = list(rows(11, 50, "http://shop"))
    tops = [row["product_category_tree"].removeprefix('["').split(" >> ")[0] for row in catalogue if row["image"]]
    for label, kinds in KINDS.items():
        raw = {kind.path[0] for kind in kinds}
        assert sum(top in raw for top in tops) >= 2, label


@pytest.mark.parametrize("products", [50, 600])
def test_the_catalogue_has_the_dirt_of_the_real_one(products: int) -> None:
    catalogue = list(rows(12345, products, "http://shop"))
    trees = [row["product_category_tree"] for row in catalogue]
    invalid = [row for row in catalogue if " >> " not in row["product_category_tree"]]
    assert 1 <= len(invalid) <= 0.04 * products
    assert all(row["product_name"][:20] in row["product_category_tree"] for row in invalid)
    assert any(tree.endswith('..."]') for tree in trees)
    assert 1 <= sum(row["discounted_price"] == "" for row in catalogue) <= 0.03 * products
    assert any(len(json.loads(row["image"])) > 1 for row in catalogue if row["image"])
    ids = [row["uniq_id"] for row in catalogue if row["uniq_id"]]
    assert 1 <= len(ids) - len(set(ids)) <= 0.03 * products
    assert all(re.fullmatch("[0-9a-f]{32}", uniq_id) for uniq_id in ids)
    listed_again = [row for row in catalogue if sum(r["pid"] == row["pid"] for r in catalogue) > 1]
    assert len({row["uniq_id"] for row in listed_again}) > len({row["pid"] for row in listed_again})
    assert any("\n" in row["description"] and '"' in row["description"] for row in catalogue)
    assert any("&mdash;" in row["description"] for row in catalogue)
    assert any(not row["product_name"].isascii() for row in catalogue)
    rejected = [row for row in catalogue if not row["uniq_id"] or not row["image"]]
    assert 1 <= len(rejected) <= 2 and len(rejected) <= 0.02 * products


def test_a_product_listed_twice_shows_the_same_pictures(shop: SampleShop) -> None:
    again = next(index for index in range(140) if "relisted" in dirt(7, index))
    catalogue = read(shop.catalogue)
    assert catalogue[again]["image"] == catalogue[original(7, again)]["image"]
    assert catalogue[again]["uniq_id"] != catalogue[original(7, again)]["uniq_id"]


def test_about_a_third_of_the_products_have_several_views() -> None:
    share = sum(product(1, index).views > 1 for index in range(1000)) / 1000
    assert 0.3 < share < 0.4


def test_urls_name_the_files_and_every_file_decodes(shop: SampleShop) -> None:
    urls = {url for row in read(shop.catalogue) if row["image"] for url in json.loads(row["image"])}
    names = {url.removeprefix(f"{shop.base_url}/images/") for url in urls}
    assert names == {path.name for path in (shop.folder / "images").iterdir()}
    assert len(names) == shop.images
    formats = set()
    for path in (shop.folder / "images").iterdir():
        with Image.open(path) as image:
            image.load()
            formats.add((image.format, image.mode))
        square_image(path.read_bytes(), Images())  # raises an error for a blank picture
    assert {("JPEG", "RGB"), ("PNG", "RGB"), ("WEBP", "RGB")} <= formats and len(formats) >= 5


def test_exactly_the_original_share_of_urls_is_broken_in_ways_taken_in_turn() -> None:
    names = [f"{index}.jpg" for index in range(20_000)]
    faults = plan_faults(1, names)
    broken = [fault for fault in faults.values() if fault in PERMANENT]
    assert len(broken) == 1554
    assert len(faults) - len(broken) == 400 and set(faults.values()) == {*PERMANENT, *FLAKY}
    assert {broken.count(fault) for fault in PERMANENT} == {155, 156}
    assert plan_faults(1, reversed(names)) == faults != plan_faults(2, names)


def test_the_plan_of_faults_is_in_the_shop(shop: SampleShop) -> None:
    written = json.loads((shop.folder / "shop.json").read_text())
    assert written["faults"] == shop.faults
    assert sum(fault in PERMANENT for fault in shop.faults.values()) == round(0.0777 * shop.images)
    assert sum(fault in FLAKY for fault in shop.faults.values()) == round(0.02 * shop.images)
