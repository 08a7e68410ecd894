"""From float operators to fused layers: batch norm folded, pools and sums attached, relabellings followed."""
