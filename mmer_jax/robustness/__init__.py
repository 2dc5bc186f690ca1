"""Trained networks tested again: an input missing, noisy audio, faces that are hard to see."""
