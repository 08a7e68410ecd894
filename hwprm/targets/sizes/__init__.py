"""What a design takes of an ECP5, counted from `Hardware` and the tables' contents: memories, flip-flops, LUTs."""
