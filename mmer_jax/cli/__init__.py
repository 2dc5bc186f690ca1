"""The `mmer` command: one module per subcommand."""
