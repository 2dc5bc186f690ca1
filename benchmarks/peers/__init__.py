"""This project's training step beside the same step in PyTorch and in Keras on TensorFlow."""
