"""The schema of configs with its defaults, table rows, validation and identity."""
