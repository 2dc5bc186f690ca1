"""Decodes recordings to NumPy arrays. Imports no dataset code, no TensorFlow and no JAX."""
