"""What recordings mean: names, examples, protocols, packs."""
