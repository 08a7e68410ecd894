"""What a verification found, and its JUnit file."""
