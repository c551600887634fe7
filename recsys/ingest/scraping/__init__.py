"""The room of scraping: pictures of a marketplace, to grow small classes with, as the original project did.

pages         one result page's HTML → its product pictures
connections   how the marketplace is asked: who we are, what passes, what is too much, where redirects may lead
robots        what it forbids, and how long it wants us to wait
search        keyword → pictures, over several pages
harvest       the stage on the store: which keywords are missing, one keyword, what they all came to

The original searched Amazon for a class's name and took the pictures of the result cards (its slides on balancing
the classes; its code swallowed every error). Nothing here runs unless it is asked for, and the marketplace is a
setting (`scraping.url`): whether its terms allow this is for whoever sets it to know. We say who we are, keep to
robots.txt, wait between pages, and take a robot check for the no that it is.

A scraped picture is flagged for ever: it lies in a table of its own, is never a product, and so can be in no test
split, no recommendation and no count of the catalogue.
"""
