"""Weights and lists that stream in from external memory."""
