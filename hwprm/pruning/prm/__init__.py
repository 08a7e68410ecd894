"""Network purification: thresholds on what ADMM left nearly empty (P-RM, Algorithm 1)."""
