"""Images: downloaded, squared, and recorded with the cause of each failure.

ledger      what is missing, one shard of it, and the counts
downloader  batches of products, the budget of attempts of each URL
client      HTTP: one attempt at one URL
response    HTTP errors and headers in the words of the ledger
hosts       concurrency, patience and pace for each host
pool        the processes that decode and square
fetch       the thread that all shards share
item        a product to fetch, and its outcome
views       further photos of a product
"""
