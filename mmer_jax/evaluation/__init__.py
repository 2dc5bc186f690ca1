"""Metrics, records, predictions, tables and the report."""
