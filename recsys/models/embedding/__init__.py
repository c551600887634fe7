"""The embedding: a unit vector for a picture, near those of products that look alike; how it is learned and kept."""
