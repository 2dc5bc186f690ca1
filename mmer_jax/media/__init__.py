"""Raw recordings to numpy arrays. Knows no data set, no TensorFlow, no JAX."""
