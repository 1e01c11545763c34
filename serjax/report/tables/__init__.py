"""Tables of results: of one run, of sets of runs, of comparisons, and of papers."""
