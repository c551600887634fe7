"""Draws the sample shop's products.

`geometry` has outlines, `canvas` paints them with light and shade, `patterns` prints them, one module a
department has a function a kind of product, `kinds` lists those, `scene` makes image files of them.
"""
