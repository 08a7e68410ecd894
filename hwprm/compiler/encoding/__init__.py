"""Schedules to words: ROM contents, the external image, what lies on the chip."""
