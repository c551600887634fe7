"""Labels a shop can trust: from the category tree, filled by the classifier, outranked by a reviewer."""
