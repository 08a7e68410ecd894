"""Channels that only go together, their statistics, and the blocks of layers they form."""
