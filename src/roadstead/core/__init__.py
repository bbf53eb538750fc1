"""What the platform means: one room per noun. Knows neither web nor bus."""
