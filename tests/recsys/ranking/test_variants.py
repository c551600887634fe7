import numpy as np
import pytest

from recsys.ranking.variants import core_name, variant_groups


def groups(names: list[str], prints: list[int] | None, looks: list[int], colours: list[int]) -> list[int]:
    embeddings = np.eye(max(looks) + 1, dtype=np.float32)[looks]
    histograms = np.eye(max(colours) + 1, dtype=np.float32)[colours]
    labels = np.array(["Mugs"] * len(names), dtype=object)
    fingerprints = None if prints is None else np.array([PRINTS[number] for number in prints])
    return variant_groups(labels, names, ["Acme"] * len(names), fingerprints, embeddings, histograms).tolist()


MUGS = np.array(["Mugs"] * 2, dtype=object)
PRINTS = np.random.default_rng(0).integers(0, 1 << 63, 9).astype(np.uint64)  # some 32 bits apart


def test_one_photo_is_one_product_whatever_its_name() -> None:
    assert groups(["Battery dv5", "Charger", "Mug"], [0, 0, 1], [0, 1, 2], [0, 0, 0]) == [0, 0, 1]


def test_one_photo_in_another_colour_is_another_product() -> None:
    assert groups(["Quilt Red", "Quilt Blue"], [0, 0], [0, 0], [0, 1]) == [0, 1]


def test_one_name_in_two_sizes_is_one_product_if_the_pictures_agree() -> None:
    names = ["Men's Shirt - Red, XL", "Mens' shirt red (M)", "Men's Shirt, Red, S"]
    assert groups(["Shirt Red XL", "Shirt, red (M)", "Shirt - S"], [0, 1, 2], [0, 0, 1], [0, 0, 0]) == [0, 0, 1]
    assert groups(names[:1] + names[2:], None, [0, 0], [0, 0]) == [0, 0]


def test_another_name_or_brand_is_another_product_even_if_it_looks_the_same() -> None:
    assert groups(["Mug Aries", "Mug Gemini"], [0, 1], [0, 0], [0, 0]) == [0, 1]
    alike = np.ones((2, 1), np.float32)
    assert variant_groups(MUGS, ["Mug", "Mug"], ["Acme", "Zenith"], None, alike, alike).tolist() == [0, 1]


def test_products_of_two_labels_are_never_one() -> None:
    alike, photo = np.ones((3, 1), np.float32), np.repeat(PRINTS[:1], 3)
    kinds = np.array(["Mugs", None, "Pens"], dtype=object)
    assert variant_groups(kinds, ["Mug"] * 3, ["Acme"] * 3, photo, alike, alike).tolist() == [0, 1, 2]
    kinds[:] = None
    assert variant_groups(kinds, ["Mug"] * 3, ["Acme"] * 3, photo, alike, alike).tolist() == [0, 0, 0]


def test_a_product_without_a_name_is_of_no_products_name() -> None:
    assert groups(["", "", "L"], [0, 1, 2], [0, 0, 0], [0, 0, 0]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sofa Cover 180x90cm, Navy Blue", "SOFA COVER - large"),
        ("Été  Dress 38", "ete dress"),
        ("Oil 500 ml", "Oil 1l"),
    ],
)
def test_words_of_size_and_colour_are_not_of_the_name(one: str, other: str) -> None:
    assert core_name(one, "Acme") == core_name(other, "ACME") != core_name("Oil lamp", "Acme")
