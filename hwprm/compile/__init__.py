"""Integer network to program."""
