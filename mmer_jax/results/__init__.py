"""The results that a run leaves on disk: records and predictions."""
