"""Frame selection: frames that show an emotion, picked by hand or ranked by trained networks."""
