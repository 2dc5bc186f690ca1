"""Examples of recordings, built TFDS datasets, packs, and selection of examples."""
