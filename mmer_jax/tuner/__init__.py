"""A random search over fields of a config, by validation data alone: python -m mmer_jax.tuner."""
