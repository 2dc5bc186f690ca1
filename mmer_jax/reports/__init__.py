"""Results as people read them: report, tables, comparison pages, literature."""
