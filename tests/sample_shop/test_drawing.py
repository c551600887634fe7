"""The pictures: drawn from seed, index and view alone, in every format that a shop serves."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from sample_shop.assortment import KINDS, LABELS, brands, label_cycle, product
from sample_shop.drawing.canvas import Canvas
from sample_shop.drawing.geometry import box, smooth
from sample_shop.drawing.kinds import DRAWINGS
from sample_shop.drawing.look import Look
from sample_shop.drawing.palette import MATERIALS
from sample_shop.drawing.shot import Shot, first_shot, further_shot
from sample_shop.scene import FORMATS, _extent, _look, draw_picture, image_format


def look(seed: int, colour: tuple[int, int, int] = (40, 90, 200), pattern: str = "plain") -> Look:
    return Look(colour, (240, 200, 60), pattern, "Nimbara", (214, 60, 60), 1, np.random.default_rng(seed))


def draw(kind: str, seed: int = 1, **how: object) -> np.ndarray:
    canvas = Canvas(160, 160, np.array([[150.0, 0, 5], [0, 150.0, 5]]))
    DRAWINGS[kind](canvas, look(seed, **how))  # type: ignore[arg-type]
    return canvas.pixels


def test_every_kind_that_is_sold_can_be_drawn_and_no_other() -> None:
    sold = [kind.drawing for kinds in KINDS.values() for kind in kinds]
    assert sorted(sold) == sorted(DRAWINGS)


@pytest.mark.parametrize("kind", sorted(DRAWINGS))
def test_a_kind_fills_its_frame_and_stays_within_the_picture(kind: str) -> None:
    alpha = draw(kind)[..., 3] > 127
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    longest = max(np.ptp(rows), np.ptp(columns))
    assert longest > 0.6 * 150, "too small to be recognised"
    assert 0.04 < alpha.mean() < 0.9


@pytest.mark.parametrize("kind", ["t_shirt", "mug", "sneaker", "handbag", "teddy_bear", "round_watch", "cushion"])
def test_colour_and_shape_vary_within_a_kind(kind: str) -> None:
    blue, red = draw(kind), draw(kind, colour=(210, 40, 40))
    assert np.abs(blue.astype(int) - red).mean() > 2
    assert any(not np.array_equal(blue[..., 3], draw(kind, seed)[..., 3]) for seed in range(2, 8))


def test_a_pattern_shows() -> None:
    plain, striped = draw("t_shirt"), draw("t_shirt", pattern="stripes")
    chest = np.s_[90:130, 60:100, :3]
    assert striped[chest].std(axis=(0, 1)).max() > 3 * plain[chest].std(axis=(0, 1)).max()


def test_all_views_of_a_product_have_its_shape_and_not_the_same_bytes() -> None:
    index = next(index for index in range(100) if product(5, index).views == 3)
    pictures = [draw_picture(product(5, index), view) for view in range(3)]
    assert len(set(pictures)) == 3


def photographed(index: int, shot: Shot, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels of a product in a shot, (h, w, 4)."""
    canvas = Canvas(*size, shot.frame)
    DRAWINGS[product(5, index).kind.drawing](canvas, _look(product(5, index)))
    return shot.taken(canvas.pixels)


@pytest.mark.parametrize("index", range(0, 60, 3))
def test_a_further_photo_shows_enough_of_the_product_in_its_colours(index: int) -> None:
    size, extent = (200, 160), _extent(product(5, index).kind.drawing)
    first = photographed(index, first_shot(np.random.default_rng(1), size, extent), size)
    body = first[first[..., 3] > 250][:, :3].mean(0)
    for seed in range(6):
        shot = further_shot(np.random.default_rng(seed), size, extent)
        further = photographed(index, shot, size)
        covered = (further[..., 3] > 127).mean() / (first[..., 3] > 127).mean()
        assert 0.2 < covered < 2, f"photo {seed} shows too little, or hardly more than it"
        assert (further[..., :3].max(-1) <= further[..., 3]).all(), "light beyond the product's edge"
        seen = further[further[..., 3] > 250][:, :3].mean(0)
        assert np.abs(np.log((seen + 8) / (body + 8))).max() < 0.5, f"photo {seed} has other colours"
        assert shot.background.shape[2] == 3 and shot.background.min() >= 0 and shot.background.max() <= 255


def test_further_photos_differ_in_more_than_their_place() -> None:
    shots = [further_shot(np.random.default_rng(seed), (200, 160), (0.0, 0.0, 1.0, 1.0)) for seed in range(40)]
    assert len({shot.background.shape for shot in shots}) == 2, "on a table, and before a background"
    white = [shot for shot in shots if shot.background.min() == 255]
    assert 0.1 < len(white) / len(shots) < 0.6
    assert any(np.linalg.det(shot.frame[:, :2]) < 0 for shot in shots), "its other side"
    scales = [np.sqrt(abs(np.linalg.det(shot.frame[:, :2]))) for shot in shots]
    assert max(scales) > 1.8 * min(scales)


def test_a_products_pictures_have_the_proportions_of_its_first() -> None:
    for index in range(12):
        sizes = [Image.open(io.BytesIO(draw_picture(product(5, index), view))).size for view in range(3)]
        upright = [(w, h) for view, (w, h) in enumerate(sizes) if image_format(5, index, view).name != "exif jpeg"]
        aspects = [width / height for width, height in upright]
        assert max(aspects) < 1.15 * min(aspects), index


def test_a_picture_depends_on_seed_index_and_view_only() -> None:
    first = draw_picture(product(5, 7), 0)
    draw_picture(product(5, 8), 0)
    np.random.seed(0)
    assert draw_picture(product(5, 7), 0) == first
    assert draw_picture(product(6, 7), 0) != first


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
def test_every_format_is_written_as_it_is_called(kind) -> None:  # type: ignore[no-untyped-def]
    index = next(index for index in range(2000) if image_format(5, index, 0) == kind)
    image = Image.open(io.BytesIO(draw_picture(product(5, index), 0)))
    image.load()
    expected = {
        "jpeg": ("JPEG", "RGB"), "png": ("PNG", "RGB"), "png with alpha": ("PNG", "RGBA"), "webp": ("WEBP", "RGB"),
        "gif": ("GIF", "P"),
        "grayscale jpeg": ("JPEG", "L"), "cmyk jpeg": ("JPEG", "CMYK"), "exif jpeg": ("JPEG", "RGB"),
    }  # fmt: skip
    assert (image.format, image.mode) == expected[kind.name]
    assert (image.getexif().get(0x0112, 1) != 1) == (kind.name == "exif jpeg")
    if kind.name == "png with alpha":
        assert image.getchannel("A").getextrema() == (0, 255)


def test_a_picture_with_an_orientation_is_upright_once_it_is_turned() -> None:
    index = next(
        i for i in range(3000) if image_format(5, i, 0).name == "exif jpeg" and product(5, i).kind.drawing == "t_shirt"
    )
    image = Image.open(io.BytesIO(draw_picture(product(5, index), 0)))
    upright = np.asarray(ImageOps.exif_transpose(image).convert("L"), dtype=float)
    ink = np.abs(upright - np.median(upright[:4])) > 30
    widths = [np.ptp(np.flatnonzero(row)) for row in ink if row.sum() > 4]
    thirds = np.array_split(np.array(widths), 3)
    assert max(thirds[0]) > max(thirds[2]), "the sleeves of an upright T-shirt are above its hem"


def test_sizes_and_aspect_ratios_are_many() -> None:
    sizes = []
    for index in range(120):
        with Image.open(io.BytesIO(draw_picture(product(5, index), 0))) as image:
            sizes.append(image.size)
    longest = np.array([max(size) for size in sizes])
    assert 120 <= longest.min() < 300 and 900 < longest.max() <= 1600
    assert ((longest >= 300) & (longest <= 900)).mean() > 0.6
    assert len({round(width / height, 1) for width, height in sizes}) >= 6


def test_labels_come_in_their_shares_at_every_size() -> None:
    for size, least in ((50, 2), (600, 6), (1000, 10)):
        labels = label_cycle(9)[:size]
        counts = {label: labels.count(label) for label in LABELS}
        assert min(counts.values()) >= least
        assert max(counts, key=lambda label: counts[label]) == "Clothing" or size == 50


def test_prices_follow_label_and_brand() -> None:
    assortment = [product(2, index) for index in range(1500)]
    median = {label: np.median([p.price for p in assortment if p.label == label]) for label in LABELS}
    assert median["Cameras & Accessories"] > 4 * median["Pens & Stationery"]
    clothing = [p for p in assortment if p.kind.drawing == "t_shirt"]
    dear, cheap = brands("Clothing")[-2:], brands("Clothing")[:2]
    assert np.mean([p.price for p in clothing if p.brand in dear]) > 2 * np.mean(
        [p.price for p in clothing if p.brand in cheap]
    )
    assert all(p.retail_price >= p.price >= 49 for p in assortment)


def test_colours_carry_the_name_that_is_drawn() -> None:
    for p in (product(2, index) for index in range(100)):
        assert p.colour in MATERIALS[p.kind.material]
        assert p.colour.name in p.name


def test_a_doubled_point_is_a_sharp_corner() -> None:
    square = [(0, 0), (0, 0), (1, 0), (1, 0), (1, 1), (1, 1), (0, 1), (0, 1)]
    curve = smooth(square)
    assert curve.min() >= -1e-9 and curve.max() <= 1 + 1e-9


def test_alpha_is_premultiplied() -> None:
    canvas = Canvas(64, 64, np.array([[60.0, 0, 2], [0, 60.0, 2]]))
    canvas.shape(box(0.1, 0.1, 0.9, 0.9, 0.2), (200, 100, 50))
    assert (canvas.pixels[..., :3].max(-1) <= canvas.pixels[..., 3]).all()
    assert canvas.pixels[0, 0, 3] == 0 and canvas.pixels[32, 32, 3] == 255


def test_a_product_fills_a_picture_of_any_proportions() -> None:
    assert _extent("wayfarer")[3] - _extent("wayfarer")[1] < 0.5 < _extent("wayfarer")[2] - _extent("wayfarer")[0]
    for kind in DRAWINGS:
        left, top, right, bottom = _extent(kind)
        rows, columns = (np.flatnonzero((draw(kind)[..., 3] > 127).any(axis)) for axis in (1, 0))
        seen = np.array([columns[0] - 5, rows[0] - 5, columns[-1] - 4, rows[-1] - 4]) / 150
        assert np.all(np.array([seen[0] - left, seen[1] - top, right - seen[2], bottom - seen[3]]) > -0.12), kind
