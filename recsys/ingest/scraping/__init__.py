"""Scraping: pictures of a marketplace, to grow small classes, as the original project did.

pages         one result page's HTML → its product pictures
marketplace   requests: user agent, retries, limits, robot checks, robots.txt; keyword → pictures, over several pages
harvest       the stage on the store: missing keywords, one keyword, the counts

The original searched Amazon for a class's name and used the pictures of the result cards (its slides on balancing the
classes; its code ignored every error). Scraping runs only on request, and the marketplace is a setting
(`scraping.url`): the person who sets it has to know whether its terms allow this. Requests name this program, obey
robots.txt, keep a pause between pages, and stop at a robot check.

A scraped picture is always recognisable: it is in a table of its own and is never a product. So it can be in no test
split, no recommendation and no count of the catalogue.
"""
