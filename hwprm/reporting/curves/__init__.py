"""Histories of training, drawn."""
