"""Input from outside: the catalogue, its images, and scraped pictures for small classes.

addresses   address checks before each connection
causes      the words for failed downloads
http        HTTP for pages and catalogues
"""
