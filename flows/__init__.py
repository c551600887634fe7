"""Prefect flows: each reads like the process on paper."""
