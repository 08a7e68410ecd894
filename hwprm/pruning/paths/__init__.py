"""What no path from input to output uses, found and removed exactly."""
