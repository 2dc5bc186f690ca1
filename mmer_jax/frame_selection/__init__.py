"""Choosing the frames that show an emotion: picking them, and ranking all by a trained network."""
