"""Pixels and networks, without a store: decoding, squaring, hashes, colours, backbones, the training loop."""
