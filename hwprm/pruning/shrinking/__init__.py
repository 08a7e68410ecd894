"""Gradual shrinking: channels and columns leave while the network trains."""
