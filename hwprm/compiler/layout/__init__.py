"""Where and when: geometry of layers, column lists, memory map, schedule, hardware parameters."""
