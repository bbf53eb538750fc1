"""What the HTTP doors of all dialects share."""
