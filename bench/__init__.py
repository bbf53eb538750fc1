"""Measures what really runs: `python -m bench` starts the platform, loads it, and sets each number beside its limit."""
