"""Physical limits: the least that could be done for the same load, measured beside it."""
