"""What a folder holds, as plain facts."""
