"""The results of a run: an HTML report for people, and a record in MLflow.

funnel                how many rows of the catalogue reach each stage
report_data           all data of the report, from the sections below
broken_links          images that cannot be used, by cause and by host
label_balance         products by label, and the balance of the training set
label_guesses         labels that the classifier filled in or contradicts
retrieval             precision and recall, and the gains of the serving embedding
embedding_map         the t-SNE map
recommendation_grid   products with their recommendations
products              the products that several sections show
rendering             the report as one HTML file
pictures              the report's drawings, as PNG
run_record            the MLflow run
publication           writes the report and the MLflow run
"""
