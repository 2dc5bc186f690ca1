"""Files, ordered parallel map, progress, text tables, provenance."""
