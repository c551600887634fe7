"""Variants: same photo or same name, of one label and one colour."""

import numpy as np
import pytest

from recsys.ranking.variants import core_name, variant_groups


def groups(names: list[str], photos: list[int] | None, looks: list[int], colours: list[int]) -> list[int]:
    """Return the groups of mugs; equal numbers are equal photos, embeddings or histograms."""
    embeddings = np.eye(max(looks) + 1, dtype=np.float32)[looks]
    histograms = np.eye(max(colours) + 1, dtype=np.float32)[colours]
    labels = np.array(["Mugs"] * len(names), dtype=object)
    fingerprints = None if photos is None else FINGERPRINTS[photos]
    return variant_groups(labels, names, ["Acme"] * len(names), fingerprints, embeddings, histograms).tolist()


MUGS = np.array(["Mugs"] * 2, dtype=object)
FINGERPRINTS = np.random.default_rng(0).integers(0, 1 << 63, 9).astype(np.uint64)  # about 32 bits apart


def test_products_with_the_same_photo_are_variants() -> None:
    assert groups(["Battery dv5", "Charger", "Mug"], [0, 0, 1], [0, 1, 2], [0, 0, 0]) == [0, 0, 1]


def test_the_same_photo_in_another_colour_is_another_product() -> None:
    assert groups(["Quilt Red", "Quilt Blue"], [0, 0], [0, 0], [0, 1]) == [0, 1]


def test_products_with_the_same_name_in_two_sizes_are_variants_if_their_pictures_agree() -> None:
    names = ["Men's Shirt - Red, XL", "Mens' shirt red (M)", "Men's Shirt, Red, S"]
    assert groups(["Shirt Red XL", "Shirt, red (M)", "Shirt - S"], [0, 1, 2], [0, 0, 1], [0, 0, 0]) == [0, 0, 1]
    assert groups(names[:1] + names[2:], None, [0, 0], [0, 0]) == [0, 0]


def test_another_name_or_brand_is_another_product_even_with_equal_pictures() -> None:
    assert groups(["Mug Aries", "Mug Gemini"], [0, 1], [0, 0], [0, 0]) == [0, 1]
    alike = np.ones((2, 1), np.float32)
    assert variant_groups(MUGS, ["Mug", "Mug"], ["Acme", "Zenith"], None, alike, alike).tolist() == [0, 1]


def test_products_of_two_labels_are_not_variants() -> None:
    alike, photo = np.ones((3, 1), np.float32), np.repeat(FINGERPRINTS[:1], 3)
    labels = np.array(["Mugs", None, "Pens"], dtype=object)
    assert variant_groups(labels, ["Mug"] * 3, ["Acme"] * 3, photo, alike, alike).tolist() == [0, 1, 2]
    labels[:] = None
    assert variant_groups(labels, ["Mug"] * 3, ["Acme"] * 3, photo, alike, alike).tolist() == [0, 0, 0]


def test_products_without_a_name_have_no_name_in_common() -> None:
    assert groups(["", "", "L"], [0, 1, 2], [0, 0, 0], [0, 0, 0]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sofa Cover 180x90cm, Navy Blue", "SOFA COVER - large"),
        ("Été  Dress 38", "ete dress"),
        ("Oil 500 ml", "Oil 1l"),
    ],
)
def test_words_of_size_and_colour_are_not_part_of_the_name(one: str, other: str) -> None:
    assert core_name(one, "Acme") == core_name(other, "ACME") != core_name("Oil lamp", "Acme")
