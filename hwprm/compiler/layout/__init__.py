"""Where and when: geometry of layers, column lists, memory plan, schedule, hardware parameters."""
