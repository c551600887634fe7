"""The JSON that the service returns. FastAPI writes these models into /openapi.json."""

from typing import Literal

from pydantic import BaseModel


class Problem(BaseModel):
    """The reason for a failed request, on one line."""

    detail: str


class State(BaseModel):
    """The answer to a health check."""

    status: Literal["alive", "ready"]


class Product(BaseModel):
    """A product that can be recommended.

    `price_level` is 2.5 where the price is unknown or its level has no meaning. `in_stock` is null where the catalogue
    has no stock information.
    """

    product_id: str
    name: str | None
    brand: str | None
    label: str | None
    price: float | None
    price_level: float
    in_stock: bool | None


class Variant(BaseModel):
    """A variant of a product: its id, such as a SKU, and what distinguishes it, such as `S / Red`."""

    id: str | None
    options: str | None
    price: float | None
    in_stock: bool | None


class Attribute(BaseModel):
    """A further property of a product, such as its material."""

    name: str
    value: str


class Details(Product):
    """A product with its category path, its variants (none if it has only one) and its further properties."""

    category_path: list[str]
    variants: list[Variant]
    attributes: list[Attribute]


class Found(Product):
    """A product that a search found; `why` is the reason, null without a search by words."""

    why: str | None = None


class Products(BaseModel):
    """A page of products: without words in the order of the catalogue, else the best match first."""

    total: int
    page: int
    size: int
    products: list[Found]


class Label(BaseModel):
    """A label and its number of products."""

    label: str
    products: int


class Rule(BaseModel):
    """The default values of the ranking rule."""

    top: int
    filter: int
    visual_weight: float
    colour_weight: float
    price_weight: float


class Shop(BaseModel):
    """A summary of the shop: its labels, its currency, the serving model and the default rule."""

    labels: list[Label]
    unlabelled: int
    products: int
    currency: str
    knows_stock: bool
    model: str
    rule: Rule


class SimilarQuery(BaseModel):
    """The product or photo of a request; a photo has no `product_id`."""

    product_id: str | None
    name: str | None
    label: str | None
    price: float | None
    price_level: float


class Recommendation(Product):
    """A recommended product, with its scores and the reason in words."""

    rank: int
    visual: float
    colour: float
    price_score: float
    total: float
    why: str


class Similar(BaseModel):
    """The query and its recommendations, best first."""

    query: SimilarQuery
    recommendations: list[Recommendation]
