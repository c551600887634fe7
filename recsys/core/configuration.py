"""One typed tree of settings, with the source of each value. Precedence: file < environment < flags.

The defaults are the figures of the original course project wherever it had one (source: its slides, on 20,000
products of the PromptCloud Flipkart sample); `Original` keeps those of its figures that are results, not settings.

    recsys.toml in the home         [images]
                                    timeout_s = 5
    environment                     RECSYS_IMAGES__TIMEOUT_S=5
    from Python                     load(home, {"images": {"timeout_s": 5}})
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict

from recsys.core.errors import ConfigurationError

HOME_DEFAULT = Path("recsys-home")
PREFIX = "RECSYS_"
RESERVED = {"RECSYS_HOME", "RECSYS_CATALOGUE", "RECSYS_CONFIG"}  # paths, not settings

BUILT_IN_BACKBONES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "resnet50")
HUB_ADDRESSES = ("hub:", "hf://", "kaggle://")
"""How the address of a keras-hub preset begins."""

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class Original:
    """Results of the original project: figures to reproduce, not settings."""

    PRODUCTS = 20_000
    BROKEN_IMAGE_URLS = 1_554
    PRODUCTS_WITH_IMAGE = 18_446
    BROKEN_SHARE = BROKEN_IMAGE_URLS / PRODUCTS  # 7.77 %
    RAW_TOP_LEVELS = 200  # "200+" values at the top of the category tree
    LABELS = 20
    UNLABELLED_WITH_IMAGE = 301  # of the 18,446; filled by the classifier
    UNLABELLED = 347  # of the 20,000
    BALANCED_IMAGES = 21_500
    LARGEST_LESS_SMALLEST_CLASS = 747
    CLASSIFIER_TRAINING_IMAGES = 17_200
    CLASSIFIER_VALIDATION_IMAGES = 4_300
    CLASSIFIER_HOURS = 2.5  # on a Colab GPU
    EMBEDDING_TRAINING_IMAGES = 17_200
    EMBEDDING_VALIDATION_IMAGES = 500
    EMBEDDING_HOURS = 5.0
    COLOUR_DISTANCE_NEAR = 4.2  # order of magnitude; see recsys/vision/colour.py for the scale
    COLOUR_DISTANCE_FAR = 18.4


FLIPKART_LABELS: dict[str, tuple[str, ...]] = {
    "Clothing": ("Clothing",),
    "Jewellery": ("Jewellery",),
    "Footwear": ("Footwear",),
    "Mobiles & Accessories": ("Mobiles & Accessories",),
    "Automotive": ("Automotive",),
    "Home Decor & Festive Needs": ("Home Decor & Festive Needs",),
    "Home Furnishing": ("Home Furnishing", "Furniture"),
    "Beauty and Personal Care": ("Beauty and Personal Care", "Health & Personal Care Appliances"),
    "Kitchen & Dining": ("Kitchen & Dining", "Home & Kitchen"),
    "3C": ("Computers", "Gaming", "Home Entertainment"),
    "Watches": ("Watches",),
    "Baby Care": ("Baby Care",),
    "Tools & Hardware": ("Tools & Hardware", "Home Improvement"),
    "Toys & School Supplies": ("Toys & School Supplies",),
    "Pens & Stationery": ("Pens & Stationery",),
    "Bags, Wallets & Belts": ("Bags, Wallets & Belts",),
    "Sports & Fitness": ("Sports & Fitness",),
    "Cameras & Accessories": ("Cameras & Accessories",),
    "Eyewear": ("Eyewear", "Sunglasses"),
    "Pet Supplies": ("Pet Supplies",),
}
"""The original's 20 labels, each with the top-level values that are merged into it (its grey areas)."""


class Section(BaseModel):
    """A branch of the tree: immutable; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _names(value: Any) -> Any:
    """Return the names in a string (one, or a JSON list as in an environment variable) as a list."""
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.startswith("[") else [value] if value else []


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
"""Columns of a catalogue: the first one that is not empty counts. `a + b` joins two columns; `*` matches any text."""


class Columns(Section):
    """Columns of the catalogue; an empty setting is that of the recognised preset."""

    id: Names = ()
    group: Names = ()
    """Rows with the same value are variants of one product."""
    name: Names = ()
    brand: Names = ()
    category_tree: Names = ()
    """Category path. Of several columns, the first one that is not empty counts."""
    category_levels: Names = ()
    """Columns with one level of the category path each, the broadest first."""
    price: Names = ()
    """Price to pay: the sale price, then the regular one."""
    retail_price: Names = ()
    """Price before a reduction; 0 means that there is none."""
    currency: Names = ()
    images: Names = ()
    """Image URLs; all columns count, in their order."""
    in_stock: Names = ()
    """A word (`in stock`, `out_of_stock`, `yes`, `no`, ...) or a quantity; empty or another word: not known."""
    variant_id: Names = ()
    """Id of a variant, such as its SKU."""
    variant: Names = ()
    """Columns that distinguish the variants of a product, such as size and colour."""
    attributes: Names = ()
    """Further columns to keep for display, such as the material."""


class Catalogue(Section):
    """Format of a shop's export. An empty setting is that of the recognised preset, or else detected."""

    preset: str = ""
    """Name of a preset, or the path of a preset file; `none` uses only these settings."""
    columns: Columns = Columns()
    delimiter: str = ""
    """Delimiter of a text: one character, or `tab`."""
    encoding: str = ""
    """Invalid bytes are read as Windows-1252, with a note; a byte order mark takes precedence."""
    tree_separator: str = ""
    """Separator of the levels of a category path."""
    path_separator: str = ""
    """Separator of several category paths in one cell; the deepest one counts."""
    image_separator: str = ""
    """Separator of file names in a cell; URLs are separated wherever the next one begins."""
    image_base: str = ""
    """Address before relative image paths, such as `https://shop.example/media/`."""
    image_table: str = ""
    """A second table with the images: its path (also from the catalogue's folder) or URL. It has a column with the id
    of a product, or with a file name that is the id and an extension, and a column with addresses."""
    image_files: str = ""
    """Path of a product's image file below `image_folder`: `images/{id}.jpg`. `{id:3}` is its first 3 characters."""
    image_folder: str = ""
    """Folder whose files may be used as images. By default only `image_files` are, beside the catalogue."""
    currency: str = ""
    """Printed before a price, and allowed before one in the file."""
    decimal: Literal["", ".", ","] = ""
    query: str = ""
    """SQL query that lists the products, if the catalogue is the URL of a database."""
    rejected_share: Share = 0.05
    """Largest share of bad rows; a catalogue with more is refused."""
    change_share: Share = 0.2
    """Largest share of the products that a catalogue may remove, rename or merge without `--accept`."""
    max_bytes: Positive = 8 << 30
    """Largest size of the unpacked catalogue, bytes."""

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, delimiter: str) -> str:
        delimiter = {"tab": "\t", "\\t": "\t", "TAB": "\t"}.get(delimiter, delimiter)
        if len(delimiter) > 1:
            raise ValueError(f"{delimiter!r} is not one character; write tab for a tab")
        return delimiter


class Images(Section):
    """Fetching, decoding and squaring of images."""

    side: Annotated[int, Field(ge=32, le=2048)] = 256
    """Side of a squared picture, pixels: the longest side is scaled to it (cubic), the rest is white."""
    views: Annotated[int, Field(ge=1, le=20)] = 1
    """Largest number of photos per product; all but the first are only for trainings."""
    jpeg_quality: Annotated[int, Field(ge=50, le=100)] = 95
    shard_size: Annotated[int, Field(ge=1, le=10_000)] = 512
    shards_at_once: Annotated[int, Field(ge=1, le=256)] = 16
    """Image shards in progress. Most of them only wait for their last slow hosts."""
    processes: Annotated[int, Field(ge=0, le=64)] = 0
    """Largest number of decoding processes. 0: the number of cores, from 2 to 8; 1: threads of the run's process."""
    connections: Annotated[int, Field(ge=1, le=10_000)] = 512
    """Largest number of open connections of a run."""
    concurrency_per_host: Annotated[int, Field(ge=1, le=1024)] = 128
    """Largest number of concurrent requests to one host."""
    rate_per_host: Annotated[float, Field(ge=0)] = 0.0
    """Largest number of requests per second to one host; 0: only the adaptive limit applies."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Time limit of one attempt (connection, headers and body), seconds."""
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """Time limit of a product (all URLs, attempts and waits), seconds. After it the image is pending."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    """Budget of a URL: attempts that fail for a transient cause; when it is spent the image is broken."""
    backoff_s: Annotated[float, Field(ge=0, le=60)] = 0.5
    """Wait before the second attempt, seconds; doubled before each further one, unless the host sends Retry-After."""
    retry_after_max_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    max_bytes: Positive = 64 << 20
    max_pixels: Positive = 200_000_000
    """90-megapixel originals exist; a larger size in a header is a decompression bomb."""
    max_redirects: Annotated[int, Field(ge=0, le=20)] = 5
    pending_share: Share = 0.05
    """Largest share of pending images with which a run continues."""
    user_agent: str = "visual-recommender/0.1 (catalogue image check)"
    allow_hosts: tuple[str, ...] = ()
    """Hosts with private, loopback or link-local addresses that may be accessed: `images.local`, `127.0.0.1:8765`,
    `10.0.0.0/8`."""
    obey_robots_tag: bool = True
    """Do not use a picture with the header X-Robots-Tag: noai, noimageai, noindex, noimageindex or none."""
    placeholder_products: Annotated[int, Field(ge=2)] = 20
    """A file that is the picture of more products than this, in at least three top levels, is a placeholder, ..."""
    placeholder_share: Share = 0.01
    """... if it is also the picture of a larger share of the catalogue than this."""

    @field_validator("allow_hosts")
    @classmethod
    def _hosts_or_networks(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if "/" in host:
                ip_network(host, strict=False)
            elif not host or "@" in host or any(character.isspace() for character in host):
                raise ValueError(f"{host!r} is not a host, host:port or network")
        return hosts


class Labels(Section):
    """How a product gets its label from the top level of its category tree."""

    merge: dict[str, tuple[str, ...]] = Field(default_factory=lambda: dict(FLIPKART_LABELS))
    """Label: the top-level values that are merged into it; other values give no label. The default, the original's
    table, applies only to PromptCloud's Flipkart export. For another catalogue the default is an empty table: each
    top-level value is its own label."""
    merge_coverage: Share = 0.5
    """Smallest share of rows that the table covers; below it each top level is its own label."""
    suspicious_above: Share = 0.95
    """Confidence from which a prediction that contradicts the catalogue makes the label suspicious: 104 of the 19,653
    real labels by their text, most of them wrong or between two labels; from 0.9 on 199."""
    shard_size: Positive = 10_000

    @model_validator(mode="after")
    def _each_value_has_one_label(self) -> Labels:
        owner: dict[str, str] = {}
        for label, values in self.merge.items():
            if not label.strip():
                raise ValueError(f"a label has no name; the values merged into it: {', '.join(values)}")
            for value in values:
                if owner.setdefault(value, label) != label:
                    raise ValueError(f"'{value}' is merged into both '{owner[value]}' and '{label}'")
        for value in owner:
            chain = [value]
            while (further := owner.get(chain[-1], chain[-1])) != chain[-1]:
                if further in chain:
                    steps = [f"'{part}' into '{owner[part]}'" for part in chain[chain.index(further) :]]
                    raise ValueError(
                        f"a cycle: {', '.join(steps)}; each value is merged into one label, which is not merged further"
                    )
                chain.append(further)
            if len(chain) > 2:
                raise ValueError(
                    f"'{value}' is merged into '{chain[1]}', which is itself merged into '{chain[2]}'; "
                    f"list '{value}' under '{chain[-1]}' as well"
                )
        return self


class Balance(Section):
    """Balancing of class sizes before a training."""

    undersample_above: Positive = 2_000
    undersample_to: Positive = 1_500
    random_seed: int = 12_345
    """The original's `random.seed(12345)`."""
    most_apart: Annotated[int, Field(ge=0)] = Original.LARGEST_LESS_SMALLEST_CLASS
    """Largest difference in pictures between two classes after growing; the original's 747."""


class Augmentation(Section):
    """Growing of small classes: rotation, flip, colour shift."""

    rotation: Annotated[float, Field(ge=0, le=180)] = 15.0
    """Largest rotation to either side, degrees."""
    flip: bool = True
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    """Largest shift to either side, as a share of the colour circle."""
    brightness: Annotated[float, Field(ge=0, lt=0.5)] = 0.15
    """Largest share of white that is added or removed; see `recsys.vision.augmentation` for what stays white."""


class Scraping(Section):
    """Growing of small classes by pictures of a marketplace, as in the original; only on request."""

    url: str = "https://www.amazon.in/s?k={keyword}&page={page}"
    """Address of a result page: Amazon, as in the original, or a marketplace with the same layout."""
    grow_below: Annotated[int, Field(ge=0)] = 753
    """Labels with fewer pictures are searched for. 1,500 of an undersampled class minus the original's 747."""
    keywords: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Label: keywords instead of its name, `Eyewear = ["sunglasses", "spectacles"]`; an empty list: no search."""
    pictures: Annotated[int, Field(ge=1, le=1000)] = 100
    """Largest number of pictures per keyword; two of Amazon's pages show about as many."""
    pages: Annotated[int, Field(ge=1, le=100)] = 2
    """Largest number of pages per keyword."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Time limits of the connection, of the start of an answer, and of its body, seconds each."""
    max_bytes: Positive = 4 << 20
    """Largest size of a page; Amazon's have about 1 MiB."""
    retries: Annotated[int, Field(ge=0, le=20)] = 3
    """Further requests for a page after failed connections and transient answers: 429, 500, 502, 503, 504."""
    backoff_s: Annotated[float, Field(ge=0, le=60)] = 0.5
    """Wait before the first retry, seconds; doubled before each further one, unless the host sends Retry-After."""
    wait_max_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """Longest wait by Retry-After, or by Crawl-delay in robots.txt, seconds."""
    delay_s: Annotated[float, Field(ge=0, le=600)] = 2.0
    """Wait before each page, seconds."""
    user_agent: Annotated[str, Field(min_length=1)] = "visual-recommender/0.1 (catalogue scraping)"
    """Name of the client; the part before the slash selects the rules of robots.txt."""

    @field_validator("url")
    @classmethod
    def _a_page_for_a_keyword(cls, url: str) -> str:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname or "@" in address.netloc:
            raise ValueError("give a complete http or https address, without credentials")
        if "{keyword}" not in url or "{" in address.netloc:
            raise ValueError("write {keyword}, and {page}, after the host name")
        return url


class Backbone(Section):
    """The pretrained network that computes the features of pictures."""

    name: str = "efficientnet_lite0"
    """A built-in one (`efficientnet_lite0`, `efficientnet_lite1`, `efficientnet_lite2`, `resnet50`), the path of a
    folder with an ONNX file and its preprocessing, or a preset of keras-hub (`hub:NAME`, `hf://...`, `kaggle://...`).
    `resnet50` is the original's; `efficientnet_lite0` has its accuracy at a tenth of the arithmetic."""
    weights: str = "imagenet"
    """`imagenet`, or the path of a weights file; only for a built-in one."""
    input_size: Annotated[int, Field(ge=32, le=1024)] = 256
    """Side of an input, pixels; 256 as in the original. Only for a built-in one: another encoder has its own."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where features are computed; `auto` is a GPU if the installed ONNX Runtime can use one."""
    batch_size: Positive = 1
    """Pictures per run. 1 is the fastest on a CPU; use more on a GPU."""
    shard_size: Annotated[int, Field(ge=1, le=10_000)] = 256

    @field_validator("name")
    @classmethod
    def _known_folder_or_address(cls, name: str) -> str:
        path = name.removeprefix("hub:")
        is_address = name.startswith(HUB_ADDRESSES) and not path.startswith(("/", ".", "~")) and path != ""
        if name not in BUILT_IN_BACKBONES and not is_address and not (path and Path(path).expanduser().is_dir()):
            raise ValueError(
                f"'{name}' is not one of {', '.join(BUILT_IN_BACKBONES)}, no folder of this path exists, and it is no "
                f"address that begins with {', '.join(HUB_ADDRESSES)}"
            )
        return name

    @model_validator(mode="after")
    def _only_built_in_ones_have_weights(self) -> Backbone:
        if self.name not in BUILT_IN_BACKBONES and self.weights != "imagenet":
            raise ValueError(f"weights are in the folder of the encoder {self.name}; remove backbone.weights")
        return self


class Classifier(Section):
    """The classifier that fills missing labels; its training is defined by its recipe."""

    recipe: Annotated[str, Field(min_length=1)] = "default"
    """`default`, `original`, or the path of a changed copy of one of `recsys/models/classifier/recipes/*.toml`."""
    precision: Annotated[float, Field(gt=0, le=1)] = 0.99
    """Precision of filled labels; products with a lower confidence go to the review list."""


class Embedding(Section):
    """The embedding that products are compared by; its training is defined by its recipe."""

    recipe: Annotated[str, Field(min_length=1)] = "default"
    """`default`, `fine_tuning`, `original`, `original_head`, or the path of a changed copy of one of
    `recsys/models/embedding/recipes/*.toml`."""
    margin: Annotated[float, Field(gt=0, lt=2)] = 0.2
    """Margin of the triplets that the report shows: max(d(a, p) − d(a, n) + margin, 0)."""


class Tsne(Section):
    """The map of the embedding in two dimensions."""

    perplexity: Annotated[float, Field(gt=1)] = 40.0
    iterations: Annotated[int, Field(ge=250)] = 300
    components: Literal[2] = 2
    sample: Positive = 2_000
    """Largest number of products that are drawn."""


class Colour(Section):
    """The HSV histogram, split 12 × 8 × 8."""

    mask: Literal["product", "none"] = "product"
    """Counted pixels: those of the product, weighted towards the middle, or (`none`, as in the original) all."""
    hue_bins: Annotated[int, Field(ge=1, le=180)] = 12
    saturation_bins: Annotated[int, Field(ge=1, le=256)] = 8
    value_bins: Annotated[int, Field(ge=1, le=256)] = 8


class Price(Section):
    """Price levels 1 to 4 within each label, by quantiles of the discounted price."""

    quantiles: tuple[float, float, float] = (0.30, 0.65, 0.90)
    neutral_level: float = 2.5
    """Level if all three quantiles are equal, or if the price is unknown."""

    @model_validator(mode="after")
    def _ascending(self) -> Price:
        low, middle, high = self.quantiles
        if not 0 < low < middle < high < 1:
            raise ValueError("the three quantiles must ascend between 0 and 1")
        return self


class Recommend(Section):
    """Nearest neighbours by embedding, re-ranked by look, colour and price, or by the original's rule."""

    rule: Literal["default", "original"] = "default"
    """`original`: the look only selects candidates, colour and price rank them; variants stay; no diversity."""
    filter: Annotated[int, Field(ge=1, le=1000)] = 20
    """Number of nearest neighbours that are re-ranked."""
    top: Annotated[int, Field(ge=1, le=100)] = 5
    demo_top: Annotated[int, Field(ge=1, le=100)] = 9
    """Number in the store and in the report's grid, as in the original's demo."""
    visual_weight: Annotated[float, Field(ge=0)] = 2.0
    """Weight of the look; not in the original's rule. The three weights come from `benchmarks/weights.py`."""
    colour_weight: Annotated[float, Field(ge=0)] = 1.0
    price_weight: Annotated[float, Field(ge=0)] = 0.5
    text_weight: Share | None = None
    """Share of the words (name, brand, attributes) in the likeness of two products; 0: pictures alone. None: the share
    that was best when the embedding was trained."""
    collapse: bool = True
    """Show only one variant of a product (a size, a duplicate), and no variant of the query."""
    diversity: Share = 0.0
    """Weight of the difference between the shown products against their scores; 0: none."""
    shard_size: Positive = 4_096

    @model_validator(mode="before")
    @classmethod
    def _weights_of_the_original(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("rule") == "original":
            return {"colour_weight": 1.0, "price_weight": 1.0, **values}
        return values

    @model_validator(mode="after")
    def _filter_holds_top(self) -> Recommend:
        if self.filter < self.top:
            raise ValueError(f"filter ({self.filter}) must be at least top ({self.top})")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each score in the total."""
        visual = self.visual_weight if self.rule == "default" else 0.0
        return {"visual": visual, "colour": self.colour_weight, "price": self.price_weight}

    @property
    def collapses(self) -> bool:
        """Whether only one variant of a product is shown."""
        return self.collapse and self.rule == "default"

    @property
    def stored(self) -> int:
        """Number of recommendations per product in the store."""
        return min(self.filter, max(self.top, self.demo_top))


class Index(Section):
    """Approximate search in large shops and labels; search is exact in smaller ones."""

    from_products: Positive = 1_000_000
    """Number of products from which a query to the whole shop uses LanceDB's index. Exact search among a million
    vectors of 128 numbers takes some 50 ms on two cores."""
    from_label: Positive = 20_000
    """Number of products of a label from which each is compared with the partitions nearest to its own, see
    `recsys.ranking.partitions`. Comparing all pairs of a label grows with its square."""
    kind: Literal["ivf_flat", "ivf_pq", "ivf_hnsw_sq"] = "ivf_flat"
    """`ivf_flat` has the fastest build, the best recall, and the size of the embeddings; `ivf_pq` a sixteenth of it."""
    recall: Annotated[float, Field(gt=0, le=1)] = 0.99
    """Smallest recall against exact search, measured after the build; an index below it is not used."""
    sample: Positive = 500
    """Number of queries that recall is measured with."""


class Evaluation(Section):
    """Evaluation of the embedding: leave one out, at each level of the category path."""

    ranks: tuple[int, ...] = (1, 5, 10)
    levels: Positive = 3
    min_occurrences: Annotated[int, Field(ge=1)] = 5
    """A category is a query only if it occurs more often than this."""
    queries: Positive = 5_000
    """Largest number of queries, drawn by seed."""
    holdout_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of products that are held out of every training to evaluate it; at most `queries` products."""


class Report(Section):
    """The page in `report/index.html`."""

    grids: Annotated[int, Field(ge=0, le=200)] = 24
    """Queries shown with their recommendations."""


class Store(Section):
    """Where tables and models are."""

    url: str | None = None
    """Object store that several machines share, such as "s3://bucket/shop"; none: the home. Endpoint and credentials
    come from the environment (AWS_*, GOOGLE_*, AZURE_*), never from this file."""

    @field_validator("url")
    @classmethod
    def _known(cls, url: str | None) -> str | None:
        if url is not None and not re.match(r"(s3|gs|az)://[^/]+/.*[^/]$", url):
            raise ValueError(f"'{url}' is not one of s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, az://CONTAINER/FOLDER")
        return url


class Workflow(Section):
    """Execution by Prefect."""

    runner: Literal["threads", "dask"] = "threads"
    """Runner of shards: threads of this process, or a Dask cluster, whose workers may be on other machines."""
    workers: Annotated[int, Field(ge=1, le=256)] = 2
    """Threads that run shards, or processes of a Dask cluster on this machine."""
    dask_address: str | None = None
    """Scheduler of a running Dask cluster, such as "tcp://10.0.0.1:8786"; none: a new one on this machine."""
    retries: Annotated[int, Field(ge=0, le=20)] = 2
    retry_delay_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """Wait before a shard's second attempt, seconds; doubled before each further one."""
    wait_s: Annotated[float, Field(ge=0)] = 3_600.0
    """How long a flow waits for the home's lock, seconds."""
    retrain_share: Share = 0.05
    """Share of products that are new, changed or removed since the last training, beyond which a refresh reports that
    a training is due."""
    drift_psi: Annotated[float, Field(gt=0)] = 0.2
    """Population stability index beyond which a refresh reports drift."""


class Notify(Section):
    """Recipients of messages about failed runs, refused challengers and drift; `recsys notify` applies them to Prefect.

    They are secrets: set them in the home's file or the environment, as RECSYS_NOTIFY__SLACK.
    """

    webhook: SecretStr | None = None
    """An address that receives JSON with `subject`, `body` and, for chat rooms, both as `text`."""
    slack: SecretStr | None = None
    """An incoming webhook of Slack, https://hooks.slack.com/services/..."""
    email: SecretStr | None = None
    """Mail server and recipient in Apprise's format: mailtos://user:password@smtp.shop.example?to=ops@shop.example
    """

    @property
    def channels(self) -> dict[str, str]:
        """The address of each channel that is set."""
        named = {"webhook": self.webhook, "slack": self.slack, "email": self.email}
        return {name: address.get_secret_value() for name, address in named.items() if address}


class Upkeep(Section):
    """How runs keep the store small, and what `recsys clean` keeps."""

    grace_s: Annotated[float, Field(gt=0)] = 600.0
    """How long a version of a table stays readable after it was replaced, seconds."""
    dead_share: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of deleted or replaced rows in a table's files beyond which a run compacts it."""
    fragments: Annotated[int, Field(ge=2)] = 32
    """Number of surplus fragments, one per commit, from which a run compacts a table."""
    models: Positive = 3
    """Number of newest trained embeddings that are kept, besides the serving one and as many rollback targets."""
    classifiers: Positive = 2
    """Number of newest trained classifiers that are kept, besides the current one."""
    days: Annotated[float, Field(gt=0)] = 30.0
    """How long Prefect's results and interrupted trainings are kept, for a retry."""
    log_bytes: Positive = 10 << 20
    """Bytes at the end of a server's log that are kept."""


class Service(Section):
    """`recsys serve`: the page and the API."""

    api_key: SecretStr | None = None
    """Key that clients send as X-API-Key, except for probes and the page itself; none by default."""
    requests_per_second: Annotated[float, Field(ge=0)] = 0.0
    """Requests per second from one client address, with bursts of twice as many; 0: no limit."""
    allow_origins: tuple[str, ...] = ()
    """Origins whose pages may send requests, such as "https://shop.example"."""
    refresh_s: Annotated[float, Field(gt=0, le=3600)] = 2.0
    """Interval between checks whether the home has changed, seconds."""
    photos_at_once: Annotated[int, Field(ge=1, le=256)] = 8
    """Largest number of photo requests in progress; requests above the limit get 503."""
    photo_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Time limit for a photo to arrive, seconds."""
    warm_up: bool = True
    """Load the network at the start of the service, which takes seconds and 500 MB, instead of with the first photo."""


class Sample(Section):
    """The sample shop of `recsys demo`."""

    products: Annotated[int, Field(ge=50, le=100_000)] = 600
    seed: int = 12_345
    port: Annotated[int, Field(ge=1, le=65_535)] = 8764


class Configuration(BaseSettings):
    """The whole tree. Use `load`, which reads files and the environment."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
    )

    catalogue: Catalogue = Catalogue()
    images: Images = Images()
    labels: Labels = Labels()
    balance: Balance = Balance()
    augmentation: Augmentation = Augmentation()
    scraping: Scraping = Scraping()
    backbone: Backbone = Backbone()
    classifier: Classifier = Classifier()
    embedding: Embedding = Embedding()
    tsne: Tsne = Tsne()
    colour: Colour = Colour()
    price: Price = Price()
    recommend: Recommend = Recommend()
    index: Index = Index()
    evaluation: Evaluation = Evaluation()
    report: Report = Report()
    store: Store = Store()
    workflow: Workflow = Workflow()
    notify: Notify = Notify()
    upkeep: Upkeep = Upkeep()
    service: Service = Service()
    sample: Sample = Sample()

    def of_results(self) -> str:
        """Return as JSON the settings that can change a result, not those of store, execution, service and messages."""
        return self.model_dump_json(exclude={"store", "workflow", "notify", "upkeep", "service", "sample"})

    def with_backbone(self, name: str, **settings: str | int) -> Configuration:
        """Return the configuration with another backbone, which has ImageNet weights if it is a built-in one.

        Args:
            name: of the backbone; without settings, the configured one keeps its own.
            settings: further settings of it.

        Raises:
            ConfigurationError: the name is unknown, or a setting is wrong.
        """
        if name == self.backbone.name and not settings:
            return self
        changed = {"name": name, "weights": "imagenet"} | settings
        try:
            backbone = Backbone.model_validate(self.backbone.model_dump() | changed)
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ConfigurationError(f"impossible value for 'backbone.name': {message}") from error
        return self.model_copy(update={"backbone": backbone})

    @classmethod
    def settings_customise_sources(cls, settings_cls: Any, init_settings: Any, **_: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return (init_settings,)


@dataclass(frozen=True)
class Value:
    """An effective value, with its key (`images.timeout_s`) and its source."""

    key: str
    value: Any
    source: str


def load(
    home: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Configuration:
    """Return the effective configuration.

    Args:
        home: the home folder; its `recsys.toml` is read if it exists.
        flags: a nested mapping that outranks file and environment.
        file: another file than the home's (default: `RECSYS_CONFIG`).
        environ: the environment (default: the process's).

    Raises:
        ConfigurationError: a key is unknown or a value not valid; the message names the key and its source.
    """
    return _validate(_sources(home, flags, file, environ))


def explain(
    home: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> list[Value]:
    """Return every effective value with its source, in the order of the tree. Arguments and errors as `load`."""
    sources = _sources(home, flags, file, environ)
    origin = {key: source for source, tree in sources for key in flatten(tree)}
    effective = _validate(sources).model_dump()
    return [
        Value(key, value, next((s for k, s in origin.items() if key == k or key.startswith(f"{k}.")), "default"))
        for key, value in flatten(effective).items()
    ]


def _sources(
    home: Path | None,
    flags: Mapping[str, Any] | None,
    file: Path | None,
    environ: Mapping[str, str] | None,
) -> list[tuple[str, dict[str, Any]]]:
    """Return (name, tree) of each source, the lowest precedence first; unknown keys are errors."""
    env = os.environ if environ is None else environ
    file = file or (Path(env["RECSYS_CONFIG"]) if env.get("RECSYS_CONFIG") else None)
    if file is not None and not file.is_file():
        raise ConfigurationError(f"configuration file {file} does not exist; create it or unset RECSYS_CONFIG")
    if file is None and home is not None and (home / "recsys.toml").is_file():
        file = home / "recsys.toml"

    sources: list[tuple[str, dict[str, Any]]] = []
    if file is not None:
        sources.append((str(file), _read_toml(file)))
    sources.append(("environment", _read_environment(env)))
    sources.append(("flag", dict(flags or {})))
    for name, tree in sources:
        _refuse_unknown(tree, name)
    return sources


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"configuration file {file} cannot be read: {error}") from error


def _read_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """Parse RECSYS_SECTION__KEY variables; pydantic-settings reads lists and tables in them as JSON."""
    settings = {k: v for k, v in env.items() if k.upper().startswith(PREFIX) and k.upper() not in RESERVED}
    for variable in settings:
        key = variable[len(PREFIX) :].lower().replace("__", ".")
        if _field(key) is None:
            raise ConfigurationError(f"environment variable {variable}: unknown key '{key}'{_suggest(key)}")
    source = EnvSettingsSource(Configuration)
    source.env_vars = {k.lower(): v for k, v in settings.items()}
    try:
        return source()
    except Exception as error:
        cause = error.__cause__ or error
        raise ConfigurationError(f"environment: {error}: {cause}".splitlines()[0]) from error


def _refuse_unknown(tree: Mapping[str, Any], source: str, prefix: str = "") -> None:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        field = _field(path)
        if field is None:
            raise ConfigurationError(f"{source}: unknown key '{path}'{_suggest(path)}")
        if _is_section(field) and not isinstance(value, Mapping):
            raise ConfigurationError(f"{source}: '{path}' is a section; set one of its keys")
        if _is_section(field):
            _refuse_unknown(value, source, f"{path}.")


def _field(path: str) -> Any:
    """Return the type of the setting or section at a dotted path; None if it does not exist."""
    node: Any = Configuration
    for name in path.split("."):
        if not _is_section(node) or name not in node.model_fields:
            return None
        node = node.model_fields[name].annotation
    return node


def _is_section(node: Any) -> bool:
    return isinstance(node, type) and issubclass(node, BaseModel)


def _suggest(path: str) -> str:
    close = difflib.get_close_matches(path, flatten(Configuration().model_dump()), n=1)
    return f"; did you mean '{close[0]}'?" if close else "; 'recsys config' lists every key"


def _validate(sources: list[tuple[str, dict[str, Any]]]) -> Configuration:
    merged: dict[str, Any] = {}
    for _, tree in sources:
        _merge(merged, tree)
    try:
        return Configuration.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        origins = [s for s, tree in sources for k in flatten(tree) if key.startswith(k) or k.startswith(key)]
        where = f"{origins[-1]}: " if origins else ""
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{where}impossible value for '{key}': {message}") from error


def _merge(into: dict[str, Any], tree: Mapping[str, Any], path: str = "") -> None:
    """Update a tree by another one; a table that is a value (labels.merge) is replaced as a whole."""
    for key, value in tree.items():
        if _is_section(_field(f"{path}{key}")):
            _merge(into.setdefault(key, {}), value, f"{path}{key}.")
        else:
            into[key] = value


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a (partial) tree by dotted key."""
    return dict(_leaves(tree, ""))


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and _is_section(_field(f"{prefix}{key}")):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
