"""Multimodal emotion recognition from face, optical flow and speech, in JAX and Flax."""

__version__ = "0.1.0"
