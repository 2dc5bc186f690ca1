"""The paper's figures, drawn from the user's own recordings and results."""
