"""Generate the sample shop: a fictitious, drawn shop with the data errors and image faults of a real one.

    shop = draw_shop(Path("sample-shop"), products=600)
    with SampleHost(shop.folder) as host:
        print(f"{host.url}/catalogue.csv")

`assortment` defines the products, `drawing` draws them, and `catalogue` writes the CSV with the data errors of a real
export. `faults` breaks 7.77 % of the image URLs, `shop` writes the shop to a folder, and `host` serves the folder.
`host` also serves the `marketplace`, whose result pages can be scraped.
"""

from sample_shop.host import SampleHost
from sample_shop.shop import SampleShop, draw_shop, load_shop

__all__ = ["SampleHost", "SampleShop", "draw_shop", "load_shop"]
