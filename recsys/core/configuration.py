"""One typed tree of settings: file < environment < flags, each value knowing where it came from.

The defaults are the figures of the original course project wherever it had one (source: its slides, on 20,000
products of the PromptCloud Flipkart sample); `Original` keeps those of its figures that are results, not settings.

    recsys.toml in the home         [images]
                                    timeout_s = 5
    environment                     RECSYS_IMAGES__TIMEOUT_S=5
    from Python                     load(home, {"images": {"timeout_s": 5}})
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from recsys.core.errors import ConfigurationError

HOME_DEFAULT = Path("recsys-home")
PREFIX = "RECSYS_"
RESERVED = {"RECSYS_HOME", "RECSYS_CATALOGUE", "RECSYS_CONFIG"}  # say where things are, not how they work

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class Original:
    """What the original project measured: figures to reproduce, not to set."""

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
    COLOUR_DISTANCE_NEAR = 4.2  # of the order of; see recsys/vision/colour.py for the scale
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
    """A branch of the tree: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(Section):
    """The catalogue's column for each thing that is read; the defaults are PromptCloud's names."""

    id: str = "uniq_id"
    category_tree: str = "product_category_tree"
    price: str = "discounted_price"
    images: str = "image"
    name: str = "product_name"
    """Optional in the file, as is every column below; shown to people, never compared."""
    brand: str = "brand"
    retail_price: str = "retail_price"
    in_stock: str = "in_stock"
    """A word (`in stock`, `out_of_stock`, `yes`, `no`, ...) or how many there are; empty: not known."""

    @property
    def are_promptcloud(self) -> bool:
        """Return whether the columns of id and category tree, which identify the schema, have PromptCloud's names."""
        defaults = type(self)()
        return (self.id, self.category_tree) == (defaults.id, defaults.category_tree)


class Catalogue(Section):
    """How a shop's export is read."""

    columns: Columns = Columns()
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: str = "utf-8"
    """Bytes that are not valid in it are read as Windows-1252, and the run says so; a byte order mark outranks it."""
    tree_separator: Annotated[str, Field(min_length=1)] = ">>"
    image_separator: Annotated[str, Field(min_length=1)] = "|"
    """Between the URLs of one row where the cell is not a JSON list."""
    currency: str = "₹"
    """Shown before a price, and allowed in front of one in the file."""
    decimal: Literal[".", ","] = "."
    rejected_share: Share = 0.05
    """A catalogue with more bad rows than this is refused; up to it they are set aside."""
    max_bytes: Positive = 8 << 30
    """Of the catalogue, unpacked."""


class Images(Section):
    """How images are fetched, decoded and squared."""

    side: Annotated[int, Field(ge=32, le=2048)] = 256
    """Pixels; the longest side is scaled to it (cubic) and the rest is white."""
    views: Annotated[int, Field(ge=1, le=20)] = 1
    """Photos of one product that are fetched, at most: 1 is its picture alone; further ones are for trainings."""
    jpeg_quality: Annotated[int, Field(ge=50, le=100)] = 95
    shard_size: Annotated[int, Field(ge=1, le=10_000)] = 512
    shards_at_once: Annotated[int, Field(ge=1, le=256)] = 16
    """Few are really under way; the others wait for their last slow links, which so hold up nobody."""
    processes: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that decode and square, at most. 0: the number of cores, from 2 to 8. 1: threads of the run itself."""
    connections: Annotated[int, Field(ge=1, le=10_000)] = 512
    """Open at once, over all hosts, shards and processes of a run."""
    concurrency_per_host: Annotated[int, Field(ge=1, le=1024)] = 128
    """Requests under way at once that a host is never asked for more than, however well it answers."""
    rate_per_host: Annotated[float, Field(ge=0)] = 0.0
    """Requests a second that a host is never asked for more than; 0 leaves it to how well it answers."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """For one attempt as a whole (connecting, headers and body), at most."""
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """For a product as a whole: all its URLs, attempts and waits. What is left then is pending."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    """The budget of one URL's attempts that fail for a passing cause; when it is spent the image is broken."""
    backoff_s: Annotated[float, Field(ge=0, le=60)] = 0.5
    """Before the second attempt, doubled before each one after it, unless the host says Retry-After."""
    retry_after_max_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    max_bytes: Positive = 64 << 20
    max_pixels: Positive = 200_000_000
    """90-megapixel originals are legitimate; a larger header is a decompression bomb."""
    max_redirects: Annotated[int, Field(ge=0, le=20)] = 5
    pending_share: Share = 0.05
    """The run goes on while no more images than this are pending."""
    user_agent: str = "visual-recommender/0.1 (catalogue image check)"
    allow_hosts: tuple[str, ...] = ()
    """Hosts that may have a private, loopback or link-local address: `images.local`, `127.0.0.1:8765`, `10.0.0.0/8`."""
    obey_robots_tag: bool = True
    """Leave a picture alone whose answer says X-Robots-Tag: noai, noimageai, noindex, noimageindex or none."""
    placeholder_products: Annotated[int, Field(ge=2)] = 20
    """Identical bytes for more products than this, of three top levels or more, are no product's picture."""
    placeholder_share: Share = 0.01
    """And for a larger share of the catalogue than this."""

    @field_validator("allow_hosts")
    @classmethod
    def _hosts_or_networks(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if "/" in host:
                ip_network(host, strict=False)
            elif not host or "@" in host or any(character.isspace() for character in host):
                raise ValueError(f"{host!r} is no host, host:port or network")
        return hosts


class Labels(Section):
    """How a product gets its label from the top level of its category tree."""

    merge: dict[str, tuple[str, ...]] = Field(default_factory=lambda: dict(FLIPKART_LABELS))
    """Label: the top-level values that are merged into it; other values give no label. The default, the original's
    table, applies only to the PromptCloud schema, where `catalogue.columns.id` and `.category_tree` have their default
    names. With another schema the default is an empty table: each top-level value is its own label."""
    merge_coverage: Share = 0.5
    """A table that names fewer of the rows than this is another shop's: then each top level is a label."""
    suspicious_above: Share = 0.95
    """A given label that the classifier contradicts with at least this confidence is listed as suspicious: 104 of the
    19,653 real ones by their text, most of them wrong or between two labels; from 0.9 on 199."""
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
            way = [value]
            while (further := owner.get(way[-1], way[-1])) != way[-1]:
                if further in way:
                    told = ", ".join(f"'{part}' into '{owner[part]}'" for part in way[way.index(further) :])
                    raise ValueError(
                        f"a circle: {told}; each value is merged into one label, which is merged no further"
                    )
                way.append(further)
            if len(way) > 2:
                raise ValueError(
                    f"'{value}' is merged into '{way[1]}', which is itself merged into '{way[2]}'; "
                    f"list '{value}' under '{way[-1]}' as well"
                )
        return self


class Balance(Section):
    """How the classes are brought to one size before a training."""

    undersample_above: Positive = 2_000
    undersample_to: Positive = 1_500
    random_seed: int = 12_345
    """The original's `random.seed(12345)`."""
    most_apart: Annotated[int, Field(ge=0)] = Original.LARGEST_LESS_SMALLEST_CLASS
    """Pictures between the largest and the smallest class, when the small ones are grown; the original's 747."""


class Augmentation(Section):
    """How small classes are grown: rotation, flip, colour shift."""

    rotation: Annotated[float, Field(ge=0, le=180)] = 15.0
    """Degrees, at most, to either side."""
    flip: bool = True
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    """Share of the colour circle, at most, to either side."""
    brightness: Annotated[float, Field(ge=0, lt=0.5)] = 0.15
    """Share of white that is added or taken off, at most; see `recsys.vision.augmentation` for what stays white."""


class Scraping(Section):
    """How small classes are grown from a marketplace's result pages, as the original did; only where asked for."""

    url: str = "https://www.amazon.in/s?k={keyword}&page={page}"
    """Of a result page; the original's marketplace was Amazon, another with the same layout may stand here."""
    grow_below: Annotated[int, Field(ge=0)] = 753
    """Labels with fewer pictures are searched for: 1,500 of a cut class less the 747 between the original's largest
    and smallest balanced class."""
    keywords: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Label: what to search for in its place, `Eyewear = ["sunglasses", "spectacles"]`; an empty list is no search."""
    pictures: Annotated[int, Field(ge=1, le=1000)] = 100
    """Of one keyword, at most; two of Amazon's pages show about as many."""
    pages: Annotated[int, Field(ge=1, le=100)] = 2
    """Of one keyword, at most."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """To connect, for an answer to begin, and for the whole of its body, each."""
    max_bytes: Positive = 4 << 20
    """Of one page; Amazon's have about 1 MiB."""
    retries: Annotated[int, Field(ge=0, le=20)] = 3
    """After a page's first request, for connections that fail and answers that pass: 429, 500, 502, 503, 504."""
    backoff_s: Annotated[float, Field(ge=0, le=60)] = 0.5
    """Doubled before each further retry, unless the host says Retry-After."""
    wait_max_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """At most, when a host says Retry-After or robots.txt says Crawl-delay."""
    delay_s: Annotated[float, Field(ge=0, le=600)] = 2.0
    """Before each page."""
    user_agent: Annotated[str, Field(min_length=1)] = "visual-recommender/0.1 (catalogue scraping)"
    """Says who asks; robots.txt is read for what is in front of the slash."""

    @field_validator("url")
    @classmethod
    def _a_page_for_a_keyword(cls, url: str) -> str:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname or "@" in address.netloc:
            raise ValueError("give a complete http or https address, without credentials")
        if "{keyword}" not in url or "{" in address.netloc:
            raise ValueError("write {keyword}, and {page}, behind the host's name")
        return url


class Backbone(Section):
    """The pretrained network whose pooled features the likeness is measured by."""

    name: Literal["efficientnet_lite0", "resnet50"] = "efficientnet_lite0"
    """`resnet50` is the original's; `efficientnet_lite0` has its accuracy at a tenth of the arithmetic."""
    weights: str = "imagenet"
    """`imagenet`, or the path of a weights file."""
    input_size: Annotated[int, Field(ge=32, le=1024)] = 256
    """Pixels a side; 256 is the original's."""
    batch_size: Positive = 8
    """Best on two cores; a GPU wants more."""
    shard_size: Annotated[int, Field(ge=1, le=10_000)] = 256


class Classifier(Section):
    """The classifier that fills missing labels; how it is trained is its recipe's."""

    recipe: Annotated[str, Field(min_length=1)] = "default"
    """`default`, `original`, or the path of a changed copy of one of `recsys/models/classifier/recipes/*.toml`."""
    precision: Annotated[float, Field(gt=0, le=1)] = 0.99
    """Of the labels that it fills: what it is less sure of goes to the review list."""


class Embedding(Section):
    """The embedding that likeness is measured by; how it is trained is its recipe's."""

    recipe: Annotated[str, Field(min_length=1)] = "default"
    """`default`, `fine_tuning`, `original`, `original_head`, or the path of a changed copy of one of
    `recsys/models/embedding/recipes/*.toml`."""
    margin: Annotated[float, Field(gt=0, lt=2)] = 0.2
    """By which triplets that are shown as violating it do so: max(d(a, p) − d(a, n) + margin, 0)."""


class Tsne(Section):
    """The map of the embedding in two dimensions."""

    perplexity: Annotated[float, Field(gt=1)] = 40.0
    iterations: Annotated[int, Field(ge=250)] = 300
    components: Literal[2] = 2
    sample: Positive = 2_000
    """Products drawn at most; more make the picture slower, not clearer."""


class Colour(Section):
    """The HSV histogram, split 12 × 8 × 8."""

    mask: Literal["product", "none"] = "product"
    """What is counted: the product's pixels, those in the middle more, or, as in the original, all of the square's."""
    hue_bins: Annotated[int, Field(ge=1, le=180)] = 12
    saturation_bins: Annotated[int, Field(ge=1, le=256)] = 8
    value_bins: Annotated[int, Field(ge=1, le=256)] = 8


class Price(Section):
    """Price levels 1 to 4 within each label, by quantiles of the discounted price."""

    quantiles: tuple[float, float, float] = (0.30, 0.65, 0.90)
    neutral_level: float = 2.5
    """Where all three quantiles are equal, and where the price is unknown."""

    @model_validator(mode="after")
    def _ascending(self) -> Price:
        low, middle, high = self.quantiles
        if not 0 < low < middle < high < 1:
            raise ValueError("the three quantiles must ascend between 0 and 1")
        return self


class Recommend(Section):
    """The nearest by embedding, reranked by look, colour and price; or by the original's rule, by colour and price."""

    rule: Literal["default", "original"] = "default"
    """`original`: the look decides who is a candidate and nothing more; variants stay; no diversity."""
    filter: Annotated[int, Field(ge=1, le=1000)] = 20
    """How many of the nearest by embedding are reranked."""
    top: Annotated[int, Field(ge=1, le=100)] = 5
    demo_top: Annotated[int, Field(ge=1, le=100)] = 9
    """Kept in the store and shown in the report's grid, as in the original's demo."""
    visual_weight: Annotated[float, Field(ge=0)] = 2.0
    """Of the look, by the default rule only. The three weights come from `benchmarks/weights.py`."""
    colour_weight: Annotated[float, Field(ge=0)] = 1.0
    price_weight: Annotated[float, Field(ge=0)] = 0.5
    collapse: bool = True
    """Show one of the variants of a product (its sizes, or listed twice), and none of the query's own."""
    diversity: Share = 0.0
    """How much an answer's products should differ from each other, against how good they are: 0 not at all."""
    shard_size: Positive = 4_096

    @model_validator(mode="before")
    @classmethod
    def _weights_of_the_original(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("rule") == "original":
            return {"colour_weight": 1.0, "price_weight": 1.0, **given}
        return given

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
        """Whether of the variants of a product only one is shown."""
        return self.collapse and self.rule == "default"

    @property
    def stored(self) -> int:
        """How many recommendations of each product the store keeps."""
        return min(self.filter, max(self.top, self.demo_top))


class Index(Section):
    """LanceDB's index of the embeddings, for questions to a shop that is large; search is exact below."""

    from_products: Positive = 1_000_000
    """On two cores exact search among so many, of 128 numbers each, takes some 50 ms; of 1,280 a tenth of them."""
    kind: Literal["ivf_flat", "ivf_pq", "ivf_hnsw_sq"] = "ivf_flat"
    """`ivf_flat` is built fastest and finds most, and is as large on disk as the embeddings; `ivf_pq` is a sixteenth of
    it."""
    recall: Annotated[float, Field(gt=0, le=1)] = 0.99
    """At 20, measured against exact search as it is built; an index below it is not used."""
    sample: Positive = 500
    """Questions that it is measured by."""


class Evaluation(Section):
    """How the embedding is judged: leave one out, at each level of the category path."""

    ranks: tuple[int, ...] = (1, 5, 10)
    levels: Positive = 3
    min_occurrences: Annotated[int, Field(ge=1)] = 5
    """A value counts as a query only if it occurs more often than this."""
    queries: Positive = 5_000
    """At most, drawn by seed: beyond it the figures stand still and the time does not."""
    holdout_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Of the catalogue, kept out of every training of an embedding to judge it by; no more than `queries` products."""


class Report(Section):
    """The page in `report/index.html`."""

    grids: Annotated[int, Field(ge=0, le=200)] = 24
    """Queries shown with their recommendations."""


class Store(Section):
    """Where tables and models are."""

    url: str | None = None
    """Of an object store that several machines share, such as "s3://bucket/shop"; none: they are in the home. The
    environment says where its service is and who may use it (AWS_*, GOOGLE_*, AZURE_*), never this file."""

    @field_validator("url")
    @classmethod
    def _known(cls, url: str | None) -> str | None:
        if url is not None and not re.match(r"(s3|gs|az)://[^/]+/.*[^/]$", url):
            raise ValueError(f"'{url}' is none of s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, az://CONTAINER/FOLDER")
        return url


class Workflow(Section):
    """How Prefect runs it."""

    runner: Literal["threads", "dask"] = "threads"
    """Of shards: threads of this process, or a Dask cluster, whose workers may be on other machines."""
    workers: Annotated[int, Field(ge=1, le=256)] = 2
    """Threads that run shards, or processes of a Dask cluster on this machine."""
    dask_address: str | None = None
    """Of the scheduler of a Dask cluster that runs, such as "tcp://10.0.0.1:8786"; none: one on this machine."""
    retries: Annotated[int, Field(ge=0, le=20)] = 2
    retry_delay_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """Before a shard's second attempt, doubled before each one after it."""
    wait_s: Annotated[float, Field(ge=0)] = 3_600.0
    """How long a flow waits for another one that works on the same home."""
    retrain_share: Share = 0.05
    """Of the products new, changed or removed since the last training: beyond it, a refresh says that one is due."""
    drift_psi: Annotated[float, Field(gt=0)] = 0.2
    """Population stability index beyond which a refresh tells that the shop, or its scores, have drifted."""


class Notify(Section):
    """Who is told of failed runs, refused challengers and drift: what `recsys notify` sets up on the Prefect server.

    They are secrets: set them in the home's file or the environment, RECSYS_NOTIFY__SLACK and so on.
    """

    webhook: SecretStr | None = None
    """An address that is sent JSON with `subject`, `body` and, for chat rooms, both as `text`."""
    slack: SecretStr | None = None
    """An incoming webhook of Slack, https://hooks.slack.com/services/..."""
    email: SecretStr | None = None
    """A mail server and who is written to, as Apprise has it: mailtos://user:password@smtp.shop.example?to=ops@shop.example
    """

    @property
    def channels(self) -> dict[str, str]:
        """The address of each channel that is set."""
        named = {"webhook": self.webhook, "slack": self.slack, "email": self.email}
        return {name: address.get_secret_value() for name, address in named.items() if address}


class Upkeep(Section):
    """How runs keep the store small, and what `recsys clean` leaves."""

    grace_s: Annotated[float, Field(gt=0)] = 600.0
    """How long an old version of a table stays after another took its place: whoever reads it is done by then."""
    dead_share: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Of the rows in a table's files, those that are in the table no more: beyond it, a run writes the table anew."""
    fragments: Annotated[int, Field(ge=2)] = 32
    """Pieces that a table may be in, one a commit: beyond it, a run writes the table anew."""
    models: Positive = 3
    """Trained embeddings that stay, the newest, beside what serves and what as many roll-backs go to."""
    classifiers: Positive = 2
    """Trained classifiers that stay, the newest, beside the one at hand."""
    days: Annotated[float, Field(gt=0)] = 30.0
    """That Prefect's results stay, for a retry of their run, and a training that was interrupted, to go on from."""
    log_bytes: Positive = 10 << 20
    """Of a server's log, its end; what is before it goes."""


class Service(Section):
    """`recsys serve`: the page, and the answers for programs."""

    api_key: SecretStr | None = None
    """Asked of every client, as X-API-Key, but for probes and the page itself; none by default."""
    requests_per_second: Annotated[float, Field(ge=0)] = 0.0
    """Of one client address, twice as many at once; 0 is no limit."""
    allow_origins: tuple[str, ...] = ()
    """Other sites whose pages may ask, such as "https://shop.example"."""
    refresh_s: Annotated[float, Field(gt=0, le=3600)] = 2.0
    """Between two looks whether the home has changed."""
    photos_at_once: Annotated[int, Field(ge=1, le=256)] = 8
    """That wait for their answer; who comes on top is asked to come again."""
    photo_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """For a photo to arrive."""
    warm_up: bool = True
    """Load the network as the service starts, which takes seconds and 500 MB, and not with the first photo."""


class Sample(Section):
    """The sample shop of `recsys demo`."""

    products: Annotated[int, Field(ge=50, le=100_000)] = 600
    seed: int = 12_345
    port: Annotated[int, Field(ge=1, le=65_535)] = 8764


class Configuration(BaseSettings):
    """The whole tree. Make one with `load`, which alone reads files and the environment."""

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
        """Return as JSON the settings that can change a result: not where the store is, how it is run, served, told."""
        return self.model_dump_json(exclude={"store", "workflow", "notify", "upkeep", "service", "sample"})

    @classmethod
    def settings_customise_sources(cls, settings_cls: Any, init_settings: Any, **_: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return (init_settings,)


@dataclass(frozen=True)
class Value:
    """One effective value: its key (`images.timeout_s`), itself, and where it came from."""

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
        home: the home folder; its `recsys.toml` is read where there is one.
        flags: a nested mapping that outranks file and environment.
        file: another file than the home's (default: `RECSYS_CONFIG`).
        environ: the environment (default: the process's).

    Raises:
        ConfigurationError: a key is unknown or a value impossible; the message names the key and its source.
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
    """Return (name, tree) of each source, weakest first; unknown keys raise here, where the source is known."""
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
    mine = {k: v for k, v in env.items() if k.upper().startswith(PREFIX) and k.upper() not in RESERVED}
    for variable in mine:
        key = variable[len(PREFIX) :].lower().replace("__", ".")
        if _field(key) is None:
            raise ConfigurationError(f"environment variable {variable}: unknown key '{key}'{_suggest(key)}")
    source = EnvSettingsSource(Configuration)
    source.env_vars = {k.lower(): v for k, v in mine.items()}
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
    """Return the type of the setting or section at a dotted path, None where there is none."""
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
        return _resolve_merge_table(Configuration.model_validate(merged))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        given = [s for s, tree in sources for k in flatten(tree) if key.startswith(k) or k.startswith(key)]
        where = f"{given[-1]}: " if given else ""
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{where}impossible value for '{key}': {message}") from error


def _resolve_merge_table(configuration: Configuration) -> Configuration:
    """Replace the built-in merge table by an empty one if the catalogue does not have the PromptCloud schema."""
    if "merge" in configuration.labels.model_fields_set or configuration.catalogue.columns.are_promptcloud:
        return configuration
    labels = configuration.labels.model_copy(update={"merge": {}})
    return configuration.model_copy(update={"labels": labels})


def _merge(into: dict[str, Any], tree: Mapping[str, Any], path: str = "") -> None:
    """Lay one tree over another; a table that is a value (labels.merge) is replaced as a whole."""
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
