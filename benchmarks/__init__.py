"""Speed and memory, measured: `make bench`. Nothing here is a test; figures are kept as ratios and medians."""
