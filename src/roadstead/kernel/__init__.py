"""Words that everyone shares: ids, errors, actors, pages, time, filters. Knows nothing else of the platform."""
