"""Counting messages."""
