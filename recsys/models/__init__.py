"""What is learned about products: features, labels, the classifier, the embedding."""
