"""The paper's figures, drawn from one's own recordings and results."""
