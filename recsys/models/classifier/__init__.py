"""The classifier: a picture and what the row says, to the probabilities of the labels."""
