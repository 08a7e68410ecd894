"""What all targets share: tools and their runs, netlists, timing reports, the wrapper for devices with few pins."""
