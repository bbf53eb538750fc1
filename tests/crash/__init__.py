"""The whole platform under violence: what it has acknowledged is there afterwards, once, and nothing else is."""
