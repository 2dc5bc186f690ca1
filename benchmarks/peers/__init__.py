"""A training step of this project beside the same in PyTorch and in Keras on TensorFlow."""
