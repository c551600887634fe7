"""The room of the images: fetched, squared, and accounted for.

square     from a picture's bytes to 256 × 256 RGB
causes     why an image is not there, in the ledger's words
addresses  which URLs may be asked for at all
hosts      how one host is treated
client     batches of products over HTTP, in one process
processes  the same in another process
fetch      the same shared among the cores
ledger     the stage on the store: what is missing, one shard, what it came to
views      the same for further photos of a product
"""
