"""Robustness of trained networks to missing modalities, noisy audio and degraded face images."""
