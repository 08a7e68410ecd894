"""What images make an integer network do: goals, which of them a bound rules out, and a search for the others."""
