"""Trained networks tested again: an input missing, noisy sound, faces that are hard to see."""
