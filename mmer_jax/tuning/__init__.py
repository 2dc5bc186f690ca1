"""Hyperparameter search: random search over fields of a config, on validation data alone."""
