"""A trained network applied to examples."""
