"""Rewrites of integer networks before they are laid out; each keeps every output integer."""
