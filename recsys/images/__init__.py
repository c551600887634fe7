"""The room of the images: fetched, squared, and accounted for.

square    from a picture's bytes to 256 × 256 RGB
causes    why an image is not there, in the ledger's words
fetch     one batch of products over HTTP
ledger    the stage on the store: what is missing, one shard, what it came to
"""
