"""Ways to simulate a bundle: protocol, bulk, layer by layer."""
