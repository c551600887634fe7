"""The choices that a client can make: the ranking rule, and which products are eligible."""

from dataclasses import dataclass, field

from recsys.core.configuration import Recommend


@dataclass(frozen=True)
class ProductFilters:
    """The conditions that a product has to meet. An empty field is no condition.

    Attributes:
        label: the only label allowed.
        price_levels: the price levels allowed.
        excluded_brands: the brands not allowed.
        in_stock: whether to leave out the products that are known to be out of stock.
    """

    label: str | None = None
    price_levels: tuple[float, ...] = ()
    excluded_brands: tuple[str, ...] = ()
    in_stock: bool = False


NO_FILTERS = ProductFilters()


@dataclass(frozen=True)
class SimilarOptions:
    """The ranking rule of a request and the filters on its recommendations."""

    rule: Recommend
    filters: ProductFilters = field(default=NO_FILTERS)
