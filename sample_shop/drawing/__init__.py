"""Draw the sample shop's products.

`geometry` computes outlines, `canvas` paints them with light and shade, and `patterns` makes printed patterns. Each
department has a module with one function per kind of product, and `kinds` lists these functions. `sample_shop.scene`
writes the image files.
"""
