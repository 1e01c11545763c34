"""One file for each paper: what it did and what it reported."""
