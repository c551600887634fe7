"""Define what the sample shop sells: labels, kinds of product, brands and prices.

`product(seed, index)` returns the same product for the same two numbers, whatever the size of the shop. The first
100 products of a shop of 100,000 are therefore the shop of 100.
"""

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from sample_shop.drawing.palette import ACCENTS, MATERIALS, Colour

# Streams of random numbers of one product; a picture's stream is PICTURE + its view.
TRAITS, DIRT, TEXT, PICTURE = 0, 1, 2, 16


def stream(seed: int, index: int, purpose: int) -> np.random.Generator:
    """Return the random numbers of one product for one purpose; no other product shares them."""
    return np.random.default_rng([seed, index, purpose])


@dataclass(frozen=True)
class Kind:
    """Describe one kind of product: its drawing function, category path and price.

    Attributes:
        drawing: name of the function in `sample_shop.drawing` that draws it.
        path: levels of its category path, starting at the shop's raw top level.
        noun: last word of its name.
        price: rupees, for a product of an average brand.
        material: its palette of colours, a key of `palette.MATERIALS`.
        patterns: its possible patterns.
    """

    drawing: str
    path: tuple[str, ...]
    noun: str
    price: float
    material: str
    patterns: tuple[str, ...] = ("plain",)


@dataclass(frozen=True)
class Brand:
    """Describe a brand: name, price level relative to an average brand, and the accent on its products."""

    name: str
    tier: float
    accent: tuple[int, int, int]  # RGB
    emblem: int  # one of the emblems of `Canvas.emblem`


@dataclass(frozen=True)
class Product:
    """Describe one product; the catalogue row and the drawing are both made from it.

    `price` and `retail_price` are whole rupees; `views` is the number of its pictures.
    """

    seed: int
    index: int
    label: str
    kind: Kind
    brand: Brand
    colour: Colour
    second: Colour
    pattern: str
    name: str
    price: int
    retail_price: int
    views: int


PRINTED = ("plain", "plain", "stripes", "dots", "checks", "floral", "chevron")
WOVEN = ("plain", "checks", "stripes", "ikat", "floral", "chevron")


def _kind(
    drawing: str, path: str, noun: str, price: float, material: str, patterns: tuple[str, ...] = ("plain",)
) -> Kind:
    return Kind(drawing, tuple(path.split(" >> ")), noun, price, material, patterns)


# Paths use the raw top levels of the PromptCloud Flipkart sample, grey areas included.
KINDS: dict[str, tuple[Kind, ...]] = {
    "Clothing": (
        _kind("t_shirt", "Clothing >> Men's Clothing >> T-Shirts", "T-Shirt", 499, "cloth", PRINTED),
        _kind("dress", "Clothing >> Women's Clothing >> Western Wear >> Dresses", "Dress", 1099, "cloth", PRINTED),
        _kind("kurta", "Clothing >> Women's Clothing >> Ethnic Wear >> Kurtas", "Kurta", 799, "cloth", WOVEN),
        _kind("jeans", "Clothing >> Men's Clothing >> Jeans", "Jeans", 1299, "denim"),
        _kind("jacket", "Clothing >> Men's Clothing >> Winter & Seasonal Wear >> Jackets", "Jacket", 1899, "cloth"),
    ),
    "Jewellery": (
        _kind("necklace", "Jewellery >> Necklaces & Chains >> Necklaces", "Necklace", 649, "precious"),
        _kind("ring", "Jewellery >> Rings", "Ring", 1499, "precious"),
        _kind("bangle", "Jewellery >> Bangles, Bracelets & Armlets >> Bangles", "Bangle", 549, "precious"),
        _kind("earrings", "Jewellery >> Earrings", "Earrings", 399, "precious"),
    ),
    "Footwear": (
        _kind("sneaker", "Footwear >> Men's Footwear >> Casual Shoes", "Sneakers", 1299, "cloth"),
        _kind("boot", "Footwear >> Men's Footwear >> Boots", "Boots", 1999, "leather"),
        _kind("heel", "Footwear >> Women's Footwear >> Heels", "Heels", 1199, "gloss"),
        _kind("sandal", "Footwear >> Women's Footwear >> Flats", "Sandals", 599, "leather"),
    ),
    "Mobiles & Accessories": (
        _kind("phone", "Mobiles & Accessories >> Mobiles", "Mobile Phone", 8999, "device"),
        _kind("phone_case", "Mobiles & Accessories >> Mobile Accessories >> Cases & Covers", "Back Cover", 349,
            "plastic",
              ("plain", "stripes", "dots", "floral", "chevron", "checks")),
        _kind("headphones", "Mobiles & Accessories >> Mobile Accessories >> Headphones", "Headphones", 1299,
            "plastic"),
        _kind("charger", "Mobiles & Accessories >> Mobile Accessories >> Chargers", "Charger", 449, "device"),
    ),
    "Automotive": (
        _kind("alloy_wheel", "Automotive >> Accessories & Spare parts >> Spares & Performance Parts >> Wheels",
            "Alloy Wheel",
              4499, "device"),
        _kind("steering_wheel",
            "Automotive >> Accessories & Spare parts >> Car Interior & Exterior >> Steering Covers",
              "Steering Cover", 799, "leather"),
        _kind("helmet", "Automotive >> Accessories & Spare parts >> Bike Essentials >> Helmets", "Helmet", 1699,
            "gloss"),
        _kind("car_mat", "Automotive >> Accessories & Spare parts >> Car Interior & Exterior >> Car Mats",
            "Car Mats", 1099,
              "device"),
    ),
    "Home Decor & Festive Needs": (
        _kind("vase", "Home Decor & Festive Needs >> Flowers, Plants & Vases >> Flower Vase", "Flower Vase", 799,
            "ceramic", WOVEN),
        _kind("wall_clock", "Home Decor & Festive Needs >> Wall Decor & Clocks >> Clocks", "Wall Clock", 899,
            "gloss"),
        _kind("table_lamp", "Home Decor & Festive Needs >> Decorative Lighting & Lamps >> Table Lamps", "Table Lamp",
            1499,
              "cloth", ("plain", "stripes", "dots", "ikat")),
        _kind("painting", "Home Decor & Festive Needs >> Wall Decor & Clocks >> Paintings", "Painting", 1299, "wood"),
    ),
    "Home Furnishing": (
        _kind("cushion", "Home Furnishing >> Cushions, Pillows & Covers >> Cushion Covers", "Cushion Cover", 349,
            "cloth", WOVEN),
        _kind("curtain", "Home Furnishing >> Curtains & Accessories >> Curtains", "Curtain", 899, "cloth", PRINTED),
        _kind("rug", "Home Furnishing >> Floor Coverings >> Carpets & Rugs", "Rug", 1799, "cloth", WOVEN),
        _kind("sofa", "Furniture >> Living Room >> Sofas & Sectionals", "Sofa", 18999, "cloth"),
        _kind("chair", "Furniture >> Kitchen & Dining Furniture >> Dining Tables, Chairs & Sets", "Chair", 4499,
            "wood"),
    ),
    "Beauty and Personal Care": (
        _kind("perfume", "Beauty and Personal Care >> Fragrances >> Perfumes", "Eau de Parfum", 899, "gem"),
        _kind("lipstick", "Beauty and Personal Care >> Makeup >> Lips", "Lipstick", 399, "lips"),
        _kind("nail_polish", "Beauty and Personal Care >> Makeup >> Nails", "Nail Polish", 149, "lips"),
        _kind("hair_dryer", "Health & Personal Care Appliances >> Personal Care Appliances >> Hair Dryers",
            "Hair Dryer", 1199,
              "plastic"),
    ),
    "Kitchen & Dining": (
        _kind("mug", "Kitchen & Dining >> Coffee Mugs", "Mug", 299, "ceramic", PRINTED),
        _kind("frying_pan", "Kitchen & Dining >> Cookware >> Pots & Pans", "Frying Pan", 899, "gloss"),
        _kind("knife", "Kitchen & Dining >> Kitchen Tools >> Knives", "Kitchen Knife", 349, "wood"),
        _kind("kettle", "Home & Kitchen >> Kitchen Appliances >> Electric Kettles", "Electric Kettle", 1499, "gloss"),
    ),
    "3C": (
        _kind("laptop", "Computers >> Laptops", "Laptop", 32999, "device"),
        _kind("mouse", "Computers >> Laptop Accessories >> Mouse", "Mouse", 599, "plastic"),
        _kind("router", "Computers >> Network Components >> Routers", "Router", 1799, "device"),
        _kind("game_controller", "Gaming >> Gaming Accessories >> Gamepads", "Gamepad", 1499, "plastic"),
        _kind("speaker", "Home Entertainment >> Home Audio >> Speakers", "Speaker", 2499, "wood"),
    ),
    "Watches": (
        _kind("round_watch", "Watches >> Wrist Watches >> Round Wrist Watches", "Analog Watch", 1299, "leather"),
        _kind("square_watch", "Watches >> Wrist Watches >> Square Wrist Watches", "Analog Watch", 1099, "leather"),
        _kind("digital_watch", "Watches >> Wrist Watches >> Digital Wrist Watches", "Digital Watch", 799, "plastic"),
    ),
    "Baby Care": (
        _kind("romper", "Baby Care >> Infant Wear >> Baby Boys' Clothes >> Rompers", "Romper", 499, "pastel",
              ("plain", "stripes", "dots", "checks")),
        _kind("feeding_bottle", "Baby Care >> Baby Feeding >> Bottles", "Feeding Bottle", 299, "pastel"),
        _kind("pram", "Baby Care >> Baby Gear >> Prams & Strollers", "Pram", 5499, "cloth"),
        _kind("bib", "Baby Care >> Infant Wear >> Bibs", "Bib", 199, "pastel",
            ("plain", "stripes", "dots", "checks")),
    ),
    "Tools & Hardware": (
        _kind("hammer", "Tools & Hardware >> Tools >> Hand Tools >> Hammers", "Claw Hammer", 449, "wood"),
        _kind("screwdriver", "Tools & Hardware >> Tools >> Hand Tools >> Screwdrivers", "Screwdriver", 199, "gloss"),
        _kind("watering_can", "Tools & Hardware >> Tools >> Gardening Tools >> Watering Cans", "Watering Can", 599,
            "gloss"),
        _kind("spanner", "Home Improvement >> Tools >> Hand Tools >> Spanners", "Spanner", 249, "gloss"),
        _kind("potted_plant", "Home Improvement >> Lawn & Gardening >> Plants", "Potted Plant", 349, "ceramic"),
    ),
    "Toys & School Supplies": (
        _kind("teddy_bear", "Toys & School Supplies >> Soft Toys >> Teddy Bears", "Teddy Bear", 699, "fur"),
        _kind("toy_car", "Toys & School Supplies >> Remote Control Toys >> Cars", "Toy Car", 899, "gloss"),
        _kind("stacking_rings", "Toys & School Supplies >> Learning & Educational Toys >> Stacking Toys",
            "Stacking Rings", 399,
              "gloss"),
        _kind("pencil_box", "Toys & School Supplies >> School Supplies >> Geometry & Pencil Boxes", "Pencil Box",
            249, "gloss",
              PRINTED),
    ),
    "Pens & Stationery": (
        _kind("pen", "Pens & Stationery >> Pens >> Ball Pens", "Ball Pen", 249, "gloss"),
        _kind("notebook", "Pens & Stationery >> Diaries & Notebooks >> Notebooks", "Notebook", 199, "leather",
            PRINTED),
        _kind("scissors", "Pens & Stationery >> Office Supplies >> Scissors", "Scissors", 149, "gloss"),
        _kind("stapler", "Pens & Stationery >> Office Supplies >> Staplers", "Stapler", 299, "gloss"),
    ),
    "Bags, Wallets & Belts": (
        _kind("handbag", "Bags, Wallets & Belts >> Bags >> Hand Bags", "Hand Bag", 1599, "leather"),
        _kind("backpack", "Bags, Wallets & Belts >> Bags >> Backpacks", "Backpack", 1299, "cloth"),
        _kind("wallet", "Bags, Wallets & Belts >> Wallets & Clutches >> Wallets", "Wallet", 599, "leather"),
        _kind("belt", "Bags, Wallets & Belts >> Belts >> Leather Belts", "Belt", 499, "leather"),
    ),
    "Sports & Fitness": (
        _kind("basketball", "Sports & Fitness >> Team Sports >> Basketball", "Basketball", 699, "ball"),
        _kind("cricket_bat", "Sports & Fitness >> Team Sports >> Cricket", "Cricket Bat", 1499, "gloss"),
        _kind("dumbbell", "Sports & Fitness >> Fitness Accessories >> Dumbbells", "Dumbbell", 899, "gloss"),
        _kind("racket", "Sports & Fitness >> Racquet Sports >> Tennis", "Tennis Racquet", 1999, "gloss"),
    ),
    "Cameras & Accessories": (
        _kind("camera", "Cameras & Accessories >> Cameras >> DSLR", "Camera", 27999, "device"),
        _kind("lens", "Cameras & Accessories >> Camera Accessories >> Camera Lenses", "Lens", 8999, "device"),
        _kind("tripod", "Cameras & Accessories >> Camera Accessories >> Tripods", "Tripod", 1299, "device"),
    ),
    "Eyewear": (
        _kind("spectacles", "Eyewear >> Frames", "Spectacle Frame", 999, "gloss"),
        _kind("wayfarer", "Sunglasses >> Wayfarer Sunglasses", "Wayfarer Sunglasses", 799, "gloss"),
        _kind("aviator", "Sunglasses >> Aviator Sunglasses", "Aviator Sunglasses", 899, "precious"),
    ),
    "Pet Supplies": (
        _kind("pet_bowl", "Pet Supplies >> Storage & Feeding Utensils >> Bowls & Bottles", "Pet Bowl", 299, "gloss"),
        _kind("dog_collar", "Pet Supplies >> Collars & Leashes >> Collars", "Dog Collar", 349, "leather"),
        _kind("dog_bone", "Pet Supplies >> Toys >> Chew Toys", "Chew Bone", 199, "gloss"),
    ),
}  # fmt: skip

# Relative shares in the real shop's order, flattened so that a small shop also has the rarest label.
SHARES: dict[str, int] = {
    "Clothing": 165,
    "Jewellery": 105,
    "Footwear": 80,
    "Mobiles & Accessories": 75,
    "Automotive": 68,
    "Home Decor & Festive Needs": 64,
    "Home Furnishing": 60,
    "Beauty and Personal Care": 55,
    "Kitchen & Dining": 52,
    "3C": 48,
    "Watches": 42,
    "Baby Care": 37,
    "Tools & Hardware": 34,
    "Toys & School Supplies": 27,
    "Pens & Stationery": 25,
    "Bags, Wallets & Belts": 22,
    "Sports & Fitness": 16,
    "Cameras & Accessories": 15,
    "Eyewear": 15,
    "Pet Supplies": 15,
}

# Invented names, cheapest first. Where the price level of a label's brands spreads, so does the real shop's.
BRAND_NAMES: dict[str, tuple[str, ...]] = {
    "Clothing": ("Pallavo", "Tessavine", "Nimbara", "Café Indigo", "Juno Fields", "Kaashi Loom", "Orrin & Vale",
        "Maison Sérah"),
    "Jewellery": ("Glintly", "Ratnavi", "Moti Lane", "Zöya Gold", "Suvarnika", "Étoile Nine"),
    "Footwear": ("Stridello", "Padukaa", "Loopfoot", "Fennroad", "Brogan Hill", "Løkke"),
    "Mobiles & Accessories": ("Voltiq", "Snapkite", "Coralink", "Nuvio", "Halden"),
    "Automotive": ("Gearaja", "Tarmak", "Roadvolt", "Apex Yard", "Torqline"),
    "Home Decor & Festive Needs": ("Diyalight", "Terrakot", "Casa Neem", "Mélange Home", "Ivory Fig"),
    "Home Furnishing": ("Softweft", "Rangrezi", "Dormouse & Co", "Larkspur", "Haveli House"),
    "Beauty and Personal Care": ("Rosabel", "Bindiya", "Lumé", "Petalique", "Noor No. 5"),
    "Kitchen & Dining": ("Handi", "Spoonbill", "Tavaro", "Copperleaf", "Châlet"),
    "3C": ("Bitwren", "Pixmo", "Ohmega", "Quanta Fox", "Lumenbook"),
    "Watches": ("Tikk", "Samay", "Minuit", "Chronova", "Aurelle"),
    "Baby Care": ("Gugu", "Little Mynah", "Tumtum", "Cloudcot"),
    "Tools & Hardware": ("Karigar", "Ironmate", "Fixwell", "Oak & Anvil"),
    "Toys & School Supplies": ("Chhota Pack", "Wobblo", "Playmora", "Tinkertree"),
    "Pens & Stationery": ("Likhna", "Paperkoi", "Inkwell Lane", "Folio Nine"),
    "Bags, Wallets & Belts": ("Jhola", "Carryon", "Saddler's Mark", "Vellum"),
    "Sports & Fitness": ("Daud", "Sixer", "Kinetiq", "Summit Nine"),
    "Cameras & Accessories": ("Drishti", "Focalux", "Obscura"),
    "Eyewear": ("Chashma", "Sunday Shade", "Opteo"),
    "Pet Supplies": ("Bruno & Me", "Pawsome Lane", "Whiskerly"),
}  # fmt: skip

ADJECTIVES: dict[str, tuple[str, ...]] = {
    "plain": ("Solid", "Classic", "Plain", "Everyday"),
    "stripes": ("Striped",),
    "dots": ("Polka Dot",),
    "checks": ("Checkered",),
    "floral": ("Floral Print", "Floral"),
    "chevron": ("Chevron Print", "Zigzag"),
    "ikat": ("Ikat", "Ethnic Print"),
}

LABELS: tuple[str, ...] = tuple(KINDS)
CYCLE = 1000  # products after which the sequence of labels repeats


@cache
def brands(label: str) -> tuple[Brand, ...]:
    """Return a label's brands, cheapest first, their tiers from 0.6 to 2.6 in even ratios."""
    names = BRAND_NAMES[label]
    tiers = np.geomspace(0.6, 2.6, len(names))
    marks = [int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) for name in names]
    return tuple(
        Brand(name, float(tier), ACCENTS[mark % len(ACCENTS)], mark // 64 % 6)
        for name, tier, mark in zip(names, tiers, marks, strict=True)
    )


@lru_cache(maxsize=4)
def label_cycle(seed: int) -> tuple[str, ...]:
    """Return the labels of products 0..999; the sequence then repeats.

    Every label comes twice among the first 40, in an order that the seed shuffles; after that the label that
    is furthest behind its share comes next, so every beginning of the sequence holds the shares.
    """
    shares = np.array([SHARES[label] for label in LABELS], dtype=float)
    shares /= shares.sum()
    rng = stream(seed, 0, TRAITS)
    order = [int(i) for _ in range(2) for i in rng.permutation(len(LABELS))]
    counts = np.bincount(order, minlength=len(LABELS)).astype(float)
    while len(order) < CYCLE:
        furthest = int(np.argmax(shares * (len(order) + 1) - counts))
        counts[furthest] += 1
        order.append(furthest)
    return tuple(LABELS[i] for i in order)


def charm_price(rupees: float) -> int:
    """Return a price in whole rupees with a typical ending: 149, 1,299, 24,990."""
    step = 10 if rupees < 2000 else 100
    return max(49, round(rupees / step) * step - (1 if rupees < 10_000 else 10))


@lru_cache(maxsize=1024)
def product(seed: int, index: int) -> Product:
    """Return product number `index` of the shop that `seed` draws."""
    rng = stream(seed, index, TRAITS)
    label = label_cycle(seed)[index % CYCLE]
    kind = KINDS[label][rng.integers(len(KINDS[label]))]
    # Cheap brands sell more: the middle of the list is twice as likely as its expensive end.
    choices = brands(label)
    popularity = np.linspace(2, 1, len(choices))
    brand = choices[int(rng.choice(len(choices), p=popularity / popularity.sum()))]
    colours = MATERIALS[kind.material]
    first, second = rng.choice(len(colours), size=2, replace=False)
    pattern = kind.patterns[rng.integers(len(kind.patterns))]

    price = kind.price * brand.tier * float(rng.lognormal(0, 0.18))
    discount = float(rng.choice([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], p=[0.1, 0.1, 0.15, 0.15, 0.2, 0.15, 0.1, 0.05]))
    discounted = charm_price(price)
    retail = discounted if discount == 0 else max(discounted, charm_price(discounted / (1 - discount)))

    adjectives = ADJECTIVES[pattern]
    adjective = adjectives[rng.integers(len(adjectives))]
    colour = colours[first]
    name = f"{brand.name} {adjective} {colour.name} {kind.noun}"
    views = int(rng.choice([1, 2, 3], p=[0.65, 0.28, 0.07]))
    return Product(seed, index, label, kind, brand, colour, colours[second], pattern, name, discounted, retail, views)
