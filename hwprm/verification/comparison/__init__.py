"""What the simulator logged against what the reference says: events, vectors, memories, cycles, stalls."""
