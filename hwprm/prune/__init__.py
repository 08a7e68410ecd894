"""Structured ADMM, purification, exact unused-path removal, compaction, accounting."""
