"""What blocks are made of: arithmetic, layouts, memories."""
