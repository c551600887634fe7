"""Measure how well a model retrieves similar products, on held-out queries, at each level of the category path.

evaluation_set      the pictures that models are evaluated on, and the baselines: random vectors, pixels, colours
outside_queries     photos from outside the catalogue as queries
blockwise_search    exact search in blocks, without the query's own near-duplicates
retrieval_metrics   the metrics of one model, query by query
bootstrap           confidence intervals of means over queries
scoreboard          all models side by side
gate                whether a challenger may replace the champion
leave_one_out       metrics of the whole shop, each product a query
weight_selection    what the weights of the rule cost and bring, and which to choose
colour_agreement    whether recommendations have the query's colours
basic_colours       the eleven basic colour terms, of pixels, pictures and texts
tsne                the t-SNE map
training_pictures   pictures of what a training changed
"""
