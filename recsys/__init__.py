"""A visual recommender for e-commerce: what looks like a product, in its colours, at its price level.

The library behind the workflow. It imports neither Prefect nor the rooms above it (`tasks`, `flows`, `cli`),
and every function can be used from a notebook with nothing running.
"""

__version__ = "0.1.0"
