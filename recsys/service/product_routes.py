"""Routes for the catalogue: /labels, /products, /products/{product_id}."""

from typing import Annotated

from fastapi import APIRouter, Query

from recsys.service.dependencies import CurrentSnapshot, Level, ProductId, State, Text
from recsys.service.options import ProductFilters
from recsys.service.problems import documented
from recsys.service.schemas import Details, Label, Product, Products, Rule, Shop

router = APIRouter()


@router.get("/labels")
async def labels(snapshot: CurrentSnapshot, state: State) -> Shop:
    """Return the labels, the most frequent first, and the default rule."""
    counts = snapshot.label_counts()
    rule = state.configuration.recommend
    return Shop(
        labels=[Label(label=label, products=count) for label, count in counts],
        unlabelled=len(snapshot.gallery) - sum(count for _, count in counts),
        products=len(snapshot.gallery),
        currency=state.configuration.catalogue.currency,
        knows_stock=snapshot.knows_stock,
        model=snapshot.serves.version,
        rule=Rule.model_validate(rule.model_dump(include=set(Rule.model_fields))),
    )


@router.get("/products")
def products(
    snapshot: CurrentSnapshot,
    q: Text = "",
    label: Text | None = None,
    price_level: Level | None = None,
    in_stock: bool = False,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    size: Annotated[int, Query(ge=1, le=200)] = 24,
) -> Products:
    """Return a page of the products whose name, brand or id contains all words of `q`, in catalogue order."""
    levels = () if price_level is None else (price_level,)
    rows = snapshot.search(q, ProductFilters(label, levels, in_stock=in_stock))
    page_rows = rows[(page - 1) * size : page * size]
    items = [Product.model_construct(**snapshot.products[row]) for row in page_rows]
    return Products(total=len(rows), page=page, size=size, products=items)


@router.get("/products/{product_id:path}", responses=documented(404))
def product(product_id: ProductId, snapshot: CurrentSnapshot) -> Details:
    """Return a product."""
    row = snapshot.row(product_id)
    return Details(**snapshot.products[row], category_path=snapshot.category_path(row))
