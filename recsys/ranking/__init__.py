"""Rank the products that look like a product or a photo, in its colours, at its price level.

gallery             the products that are compared, and the queries: arrays, row by row
gallery_loading     the gallery of a shop, read from the store
nearest_neighbours  the candidates: nearest by embedding, within the label
ann_index           LanceDB's approximate index, for a query to a very large shop
ann_index_building  build that index and measure its recall
scores              the visual, the colour and the price score
price_levels        price levels 1 to 4 within a label
reranking           candidates reranked by the configured rule: the original's or the default
variants            products that are one product in several sizes, or listed twice
explanation         the reason of a recommendation, as a sentence
cache_keys          digests of everything that a stored ranking depends on
recommendations     the recommendations stage: rank all products, store the result
single_query        recommendations for one product or one photo
export              the stored recommendations as a file
"""
