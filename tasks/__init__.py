"""Prefect tasks: each a door to one function of `recsys`, with retries, caching, a name and an artifact.

A task takes the home's path and the configuration, finds its data in the store by itself, and returns counts: keys,
digests and counts pass between tasks, never arrays, frames or models.
"""
