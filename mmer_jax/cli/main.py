"""The `mmer` command: `mmer SUBCOMMAND ...` calls the module of that name in this folder."""

import importlib
import sys

# Subcommand -> help text. A module is imported when its subcommand is called, since some of them
# need packages that are not installed everywhere.
SUBCOMMANDS = {
    "report": "rewrite the report of a workdir, or write a page that compares several",
    "compare": "compare config rows (models) with intervals and paired tests",
    "literature": "print tables 9 and 10 of the paper with the config rows measured here",
    "robustness": "test trained networks on missing, noisy or degraded inputs",
    "speakers": "test transductive networks with few recordings of each tested speaker",
    "tune": "search hyperparameters at random on validation data",
    "frames": "select the frames of clips that show an emotion",
    "figure": "draw the figures of the paper and the leakage ladder",
    "render": "render synthetic talking-head clips",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs a subcommand.

    Args:
      arguments: Name of a subcommand and its arguments; None for the arguments of the process.

    Returns:
      The exit status: 0 on success, 2 after an error of the user; see also the subcommand.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in SUBCOMMANDS:
        print(f"mmer: unknown subcommand {name!r}\n\n{_help()}", file=sys.stderr)
        return 2
    return importlib.import_module(f"mmer_jax.cli.{name}").main(rest)


def _help() -> str:
    width = max(map(len, SUBCOMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, text in SUBCOMMANDS.items()]
    return "usage: mmer SUBCOMMAND ...\n\n" + "\n".join(lines) + "\n\nmmer SUBCOMMAND --help"


if __name__ == "__main__":
    sys.exit(main())
