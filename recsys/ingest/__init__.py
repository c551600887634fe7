"""What comes in from outside: the catalogue, its images, pictures scraped for small classes."""
