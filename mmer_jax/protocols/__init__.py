"""Evaluation protocols: which examples train, validate and test."""
