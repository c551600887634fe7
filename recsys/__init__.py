"""A visual recommender for e-commerce: products that look like a product, in its colours, at its price level.

    import recsys

    shop = recsys.open_home("my-shop")
    shop.recommend("SKU1")
    shop.recommend_photo("photo.jpg")
    shop.embed(["photo.jpg"])

`open_home` and `Shop` are the interface for notebooks and scripts, see `docs/api.md`. Importing this package is cheap:
each function imports what it needs. The library imports neither Prefect nor the packages above it (`tasks`, `flows`,
`cli`), and needs no running server.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__version__ = "0.1.0"
__all__ = ["Shop", "__version__", "open_home"]


def open_home(home: str | os.PathLike[str], settings: Mapping[str, Any] | None = None) -> Shop:
    """Open the home of a shop for reading.

    Args:
        home: a folder that `recsys run` has filled.
        settings: configuration that has priority over the home's `recsys.toml`, such as `{"recommend": {"top": 10}}`.

    Raises:
        HomeError: the folder is not a home, or has no shop yet.
        ConfigurationError: a setting is unknown or invalid.
    """
    return Shop(home, settings)


class Shop:
    """A shop that is open for reading: its products, their recommendations and embeddings.

    Products without a picture or without features are not included. A later run is visible at the next call.
    """

    def __init__(self, home: str | os.PathLike[str], settings: Mapping[str, Any] | None = None) -> None:
        from recsys.core.configuration import load
        from recsys.storage.store import Store

        self.configuration = load(Path(home), settings)
        self._store = Store(Path(home), read_only=True)

    @property
    def products(self) -> pd.DataFrame:
        """The products that can be compared, in catalogue order.

        Columns: product_id, name, brand, category_path, price, in_stock, label, price_level.
        """
        from recsys.ranking.gallery_loading import load_gallery

        frame, gallery = load_gallery(self._store, self.configuration)
        columns = ["product_id", "name", "brand", "category_path", "price", "in_stock", "label"]
        return frame[columns].assign(price_level=gallery.price_levels)

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """The embeddings of `products`, row by row: (n, d) of unit length, read-only."""
        from recsys.ranking.gallery_loading import load_gallery

        embeddings = load_gallery(self._store, self.configuration)[1].pictures.view()
        embeddings.flags.writeable = False
        return embeddings

    def recommend(self, product_id: str) -> pd.DataFrame:
        """Return the recommendations for a product, best first, by the configured rule.

        Columns: rank (from 1), product_id, name, brand, label, price, in_stock, price_level, the scores visual,
        colour and price_score (0 to 1), their weighted total, and the reason as a sentence, why.

        Raises:
            UnknownProductError: the product is not in the catalogue, or has no picture to compare.
        """
        from recsys.ranking.single_query import recommend_product

        return recommend_product(self._store, self.configuration, product_id).items

    def recommend_photo(self, photo: str | os.PathLike[str] | NDArray[np.uint8]) -> pd.DataFrame:
        """Return the recommendations for a photo, from the whole shop; columns as `recommend`.

        Args:
            photo: a file, or an image of any size: (h, w, 3) uint8 RGB.

        Raises:
            PhotoError: the file is missing, is not an image, or exceeds a safety limit.
        """
        from recsys.ranking.single_query import recommend_image

        return recommend_image(self._store, self.configuration, self._squared(photo), "photo").items

    def embed(self, photos: Iterable[str | os.PathLike[str] | NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return the embeddings of n photos by the serving model: (n, d) of unit length.

        Their dot product with `embeddings` is the cosine similarity.

        Args:
            photos: at least one; each as in `recommend_photo`.

        Raises:
            PhotoError: as `recommend_photo`.
        """
        import numpy as np

        from recsys.models.embedding.serving import describe, serving

        if isinstance(photos, (str, os.PathLike)):
            raise TypeError("embed takes a list of photos")
        home = self._store.home
        images = np.stack([self._squared(photo) for photo in photos])
        return describe(images, str(home), serving(home, self.configuration), self.configuration)[0]

    def _squared(self, photo: str | os.PathLike[str] | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a photo squared: (side, side, 3) uint8 RGB."""
        from recsys.vision.square import read_photo, square

        images = self.configuration.images
        return read_photo(Path(photo), images) if isinstance(photo, (str, os.PathLike)) else square(photo, images.side)
