"""Metrics, intervals, significance tests and summaries, computed from records and predictions."""
