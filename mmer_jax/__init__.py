"""Multimodal emotion recognition from face, optical flow and speech, in JAX and Flax.

The glossary in docs/architecture.md defines the terms of names and docstrings.
"""

__version__ = "0.1.0"
