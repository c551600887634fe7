"""The report on a run: what is in the catalogue, what went missing on the way, and what is recommended."""
