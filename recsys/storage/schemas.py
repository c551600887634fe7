"""Tables of the store, their columns and their keys.

    products                    product id          normalised row of the catalogue
    images                      product id          outcome of fetching, and the squared picture
    views                       product id + url    further photos of a product, if they are fetched
    labels                      product id          label and its source
    predictions                 product id          the classifier's label, from its picture and its row
    reviews                     product id          a person's answer
    features-<version>          image digest        vector of the backbone, and a colour histogram
    embeddings-<version>        image digest        vector of a trained embedding
    words-<version>             product id          vector of a product's words
    recommendations-<version>   product id + rank   neighbour, its scores, the total
    candidates-<version>        product id          the products that its recommendations were chosen from
    ranked-<version>            product id          what its ranking depended on at the end of the last one
    partitions-<version>        label               how the search within a large label is split
    catalogues                  catalogue digest    each catalogue that was read: source, counts, time
    scraped                     image digest        pictures of a marketplace, which are never products
    searches                    label + keyword     outcome of each search for them
    records                     name                models, which of them serve, other small facts (`storage.records`)

Each model version has its own tables, so embeddings of two models never meet in one search, and the recommendations of
a model are still there when it serves again.
"""

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")

JPEG = pa.field(
    "jpeg",
    pa.large_binary(),
    # as it is: Lance would try to compress it, which takes six times as long for 2 % less
    metadata={"lance-encoding:structural-encoding": "fullzip", "lance-encoding:compression": "none"},
)

VARIANT = pa.struct(
    [
        ("id", pa.string()),  # such as its SKU
        ("options", pa.string()),  # such as `S / Red`
        ("price", pa.float64()),
        ("in_stock", pa.bool_()),
    ]
)

SCHEMAS: dict[str, pa.Schema] = {
    "products": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("position", pa.int64()),  # row of the catalogue, from 0: its order
            ("name", pa.string()),
            ("brand", pa.string()),
            ("category_path", pa.list_(pa.string())),
            ("price", pa.float64()),
            ("retail_price", pa.float64()),
            ("image_urls", pa.list_(pa.string())),
            ("row_digest", pa.string()),
            ("in_stock", pa.bool_()),  # null where the catalogue does not say
            ("currency", pa.string()),  # code of the price's currency; null where the catalogue does not say
            ("further_paths", pa.list_(pa.string())),  # other category paths, `A > B`
            ("variants", pa.list_(VARIANT)),  # if the product has several
            ("attributes", pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())]))),
            ("first_seen", TIME),
            ("changed", TIME),
            ("removed", TIME),  # null while the catalogue lists it
        ]
    ),
    "images": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("urls_digest", pa.string()),  # of the URLs that this row speaks of
            ("status", pa.string()),  # ok, broken, pending
            ("cause", pa.string()),  # null when ok
            ("http_code", pa.int32()),
            ("attempts", pa.int32()),  # that failed for a passing cause, over all runs
            ("first_checked", TIME),  # since these URLs are in the catalogue
            ("checked_at", TIME),
            ("url", pa.string()),  # the one that won, else the last that failed
            ("etag", pa.string()),  # what the host calls this version of the image, for a conditional request
            ("last_modified", pa.string()),
            ("image_digest", pa.string()),  # of the bytes that the host sent
            ("bytes", pa.int64()),
            ("width", pa.int32()),  # pixels of the original
            ("height", pa.int32()),
            ("format", pa.string()),
            JPEG,  # the squared image
        ]
    ),
    "views": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            pa.field("url", pa.string(), nullable=False),  # behind the picture's in the product's row
            ("status", pa.string()),  # ok; same: another photo of the product again; broken, pending
            ("cause", pa.string()),  # null when ok or same
            ("attempts", pa.int32()),  # that failed for a passing cause, over all runs
            ("checked_at", TIME),
            ("image_digest", pa.string()),  # of the bytes that the host sent
            JPEG,  # the squared photo; null unless ok
        ]
    ),
    "labels": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("label", pa.string()),  # null where there is none
            ("source", pa.string()),  # catalogue, merged, predicted, reviewed; null where there is none
            ("confidence", pa.float32()),
            ("model_version", pa.string()),
            ("basis", pa.string()),  # digest of what the label was derived from
        ]
    ),
    "predictions": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("model_version", pa.string()),  # of the classifier, see `recsys.models.classifier.label_model`
            ("label", pa.string()),  # the most probable
            ("confidence", pa.float32()),  # its calibrated probability
            ("runner_up", pa.string()),  # the second most probable; null where there are no two labels
            ("runner_up_confidence", pa.float32()),
            ("evidence", pa.string()),  # picture, text, both: what there was to judge by
            ("fold", pa.int32()),  # of the training that left it out; null where it was in no training
            ("basis", pa.string()),  # digest of the picture and the row that were judged
        ]
    ),
    "reviews": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("label", pa.string()),  # null: it has none, and is not to be asked for again
            ("reviewed_at", TIME),
        ]
    ),
    "recommendations": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            pa.field("rank", pa.int32(), nullable=False),  # from 1
            ("neighbour_id", pa.string()),
            ("visual", pa.float32()),
            ("colour", pa.float32()),
            ("price", pa.float32()),
            ("total", pa.float32()),
            ("basis", pa.string()),  # digest of the shop that was ranked
        ]
    ),
    "candidates": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("neighbour_ids", pa.list_(pa.string())),  # the most similar first
            ("least", pa.float32()),  # likeness of the last; 0 where there are fewer than the rule asks for
            ("basis", pa.string()),  # digest of the shop that was ranked
        ]
    ),
    "ranked": pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("content", pa.string()),  # digest of the product
            ("pool", pa.string()),  # label that it was compared within; null: the whole shop
            ("variant_of", pa.string()),  # the first product of its variants
            ("position", pa.int64()),  # among the products that were ranked
        ]
    ),
    "partitions": pa.schema(
        [
            pa.field("label", pa.string(), nullable=False),  # empty: the whole shop
            ("rule", pa.string()),  # digest of everything else that the split depends on
            ("products", pa.int64()),  # when it was split
            ("searched", pa.int32()),  # partitions that a product is compared with; 0: search is exact
            ("recall", pa.float64()),
            ("bound", pa.float64()),  # lowest recall of partitions that are used
            ("sample", pa.int32()),  # products that recall was measured with
            ("seconds", pa.float64()),  # to split and to measure
            ("size", pa.int32()),  # numbers of a centroid
            ("centroids", pa.list_(pa.float32())),  # one after another
        ]
    ),
    "catalogues": pa.schema(
        [
            pa.field("catalogue_digest", pa.string(), nullable=False),
            ("source", pa.string()),
            ("rows", pa.int64()),
            ("rejected", pa.int64()),  # set aside, as bad or as duplicates
            ("new", pa.int64()),
            ("changed", pa.int64()),
            ("removed", pa.int64()),
            ("read_at", TIME),  # the last time that it replaced another
        ]
    ),
    "scraped": pa.schema(  # pictures of a marketplace: never products, so never in a test split, and so for ever
        [
            pa.field("image_digest", pa.string(), nullable=False),  # of the bytes that the host sent
            ("label", pa.string()),  # that it was searched for
            ("keyword", pa.string()),
            ("title", pa.string()),  # as the result page gives it
            ("url", pa.string()),
            ("bytes", pa.int64()),
            ("width", pa.int32()),  # pixels of the original
            ("height", pa.int32()),
            ("format", pa.string()),
            JPEG,  # the squared image
            ("scraped_at", TIME),
        ]
    ),
    "searches": pa.schema(
        [
            pa.field("label", pa.string(), nullable=False),
            pa.field("keyword", pa.string(), nullable=False),
            ("basis", pa.string()),  # digest of where and how far was searched
            ("status", pa.string()),  # ok, failed
            ("cause", pa.string()),  # null when ok
            ("http_code", pa.int32()),
            ("message", pa.string()),  # null when ok
            ("found", pa.int64()),  # pictures on the result pages
            ("kept", pa.int64()),  # of them, in `scraped` under this keyword
            ("duplicates", pa.int64()),  # of them, there already as another's or the catalogue's
            ("broken", pa.int64()),  # of them, not to be fetched
            ("checked_at", TIME),
        ]
    ),
    "records": pa.schema(
        [
            pa.field("name", pa.string(), nullable=False),
            ("written_at", TIME),
            ("record", pa.string()),  # JSON
        ]
    ),
}

KEYS: dict[str, tuple[str, ...]] = {
    "views": ("product_id", "url"),
    "recommendations": ("product_id", "rank"),
    "searches": ("label", "keyword"),
}


def features_schema(embedding_size: int, histogram_size: int) -> pa.Schema:
    """Return the schema of a table of features: what pictures are compared by, computed once."""
    return pa.schema(
        [
            pa.field("image_digest", pa.string(), nullable=False),
            ("embedding", pa.list_(pa.float32(), embedding_size)),  # of unit length
            ("histogram", pa.list_(pa.float32(), histogram_size)),  # of colours, summing to 1
            ("fingerprint", pa.uint64()),  # by which one photo is known again
        ]
    )


def embeddings_schema(size: int) -> pa.Schema:
    """Return the schema of a table of embeddings: unit vectors, float32."""
    return pa.schema(
        [pa.field("image_digest", pa.string(), nullable=False), ("embedding", pa.list_(pa.float32(), size))]
    )


def words_schema(size: int) -> pa.Schema:
    """Return the schema of a table of the words' vectors: of unit length, or zeros, float32."""
    return pa.schema(
        [
            pa.field("product_id", pa.string(), nullable=False),
            ("text_digest", pa.string()),
            ("vector", pa.list_(pa.float32(), size)),
        ]
    )


def key_of(table: str) -> tuple[str, ...]:
    """Return the columns by which rows of a table are told apart."""
    kind = table.split("-", 1)[0]
    return KEYS.get(kind) or (schema_of(table).names[0],)


def schema_of(table: str) -> pa.Schema:
    """Return the schema of a table; where it depends on a model, that of an empty one."""
    kind = table.split("-", 1)[0]
    if kind in SCHEMAS:
        return SCHEMAS[kind]
    if kind == "words":
        return words_schema(1)
    return embeddings_schema(1) if kind == "embeddings" else features_schema(1, 1)
