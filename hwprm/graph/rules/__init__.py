"""What every operator has to say about itself, and the words in which it says it."""
