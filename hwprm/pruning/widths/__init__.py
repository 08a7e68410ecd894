"""How many channels each layer keeps under one budget for the whole network (PruneNet)."""
