"""Decoding of recordings to NumPy arrays, without dataset code, TensorFlow and JAX."""
