"""Files, ordered parallel map, progress, provenance."""
