"""Results for readers: HTML reports, terminal tables, comparisons, and tables of the literature."""
