"""What a run leaves on disk: records and predictions."""
