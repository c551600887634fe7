"""The sample shop: a fictitious shop that the project draws itself, with the dirt and the faults of a real one.

    shop = draw_shop(Path("sample-shop"), products=600)
    with SampleHost(shop.folder) as host:
        print(f"{host.url}/catalogue.csv")

`assortment` says what it sells, `drawing` draws it, `catalogue` writes it down with the dirt of a real export,
`faults` breaks 7.77 % of its image URLs, `shop` puts it into a folder, `host` serves that, and beside it the
`marketplace`, whose result pages can be scraped.
"""

from sample_shop.host import SampleHost
from sample_shop.shop import SampleShop, draw_shop, load_shop

__all__ = ["SampleHost", "SampleShop", "draw_shop", "load_shop"]
