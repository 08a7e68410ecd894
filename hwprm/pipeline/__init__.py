"""The main job as a tuple of named steps."""
