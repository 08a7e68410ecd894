"""Icarus and Verilator: finding, building, running."""
