"""What everything else stands on: errors, numerics, geometry of windows, files, resources, versions, progress."""
