"""Formatting of tables as plain text with aligned columns, or as Markdown."""

from collections.abc import Sequence

Lines = Sequence[Sequence[str]]  # lines of a table, each a sequence of cells


def aligned(lines: Lines) -> list[str]:
    """Formats a table as plain text, each column as wide as its longest cell.

    Args:
      lines: Header line and further lines, all with the same number of cells. A column is
        right-aligned if each cell below the header begins with a digit, is "-" or is empty, and
        left-aligned otherwise.

    Returns:
      One str per line, without newline characters.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(line, widths, _are_numeric(lines), strict=True)
        ).rstrip()
        for line in lines
    ]


def markdown(lines: Lines) -> list[str]:
    """Formats a table as Markdown.

    Args:
      lines: Header line and further lines, all with the same number of cells, aligned as described
        in `aligned`.

    Returns:
      One str per line, without newline characters.
    """
    header, *rest = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    rule = ["---:" if numeric else "---" for numeric in _are_numeric(lines)]
    return [f"| {' | '.join(line)} |" for line in (header, rule, *rest)]


def _are_numeric(lines: Lines) -> list[bool]:
    """Returns for each column whether it is right-aligned (see `aligned`)."""
    return [
        all(not cell or cell[0].isdigit() or cell == "-" for cell in column)
        for column in zip(*lines[1:], strict=True)
    ] or [False] * len(lines[0])
