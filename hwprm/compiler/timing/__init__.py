"""Exact cycles, and exact stalls of external memory."""
