"""From a config to results: cells, training, learning-rate search, late fusion."""
