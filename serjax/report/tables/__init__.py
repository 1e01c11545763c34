"""Tables of one run and of many."""
