"""The results of a run: an HTML report for people, and a record in MLflow.

funnel                how many rows of the catalogue reach each stage, and which images are broken
report_data           all data of the report, from the sections below
labels                products by label, the balance of the training set, the classifier's guesses
retrieval             precision and recall, and the gains of the serving embedding
embedding_map         the t-SNE map
recommendation_grid   products with their recommendations
products              the products that several sections show
rendering             the report as one HTML file
pictures              the report's drawings, as PNG
publication           writes the report and the MLflow run
"""
