"""Prefect tasks: each wraps one function of `recsys`, with retries, caching, a name and an artifact.

A task gets the home's path and the configuration, reads its data from the store, and returns counts. Only keys, digests
and counts pass between tasks, never arrays, frames or models.
"""
