"""Training whose forward pass is the integer network, rounding and all."""
