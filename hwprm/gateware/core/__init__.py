"""The array and what its sums go through: lanes, drain, requantiser, store, sequencer."""
