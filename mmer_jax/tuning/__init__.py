"""A random search over fields of a config, by validation data alone: `mmer tune`."""
