"""Memories with more than one port or shape: vectors, rows, rings, queues."""
