"""Tables as text with aligned columns, or as Markdown."""

from collections.abc import Sequence

Lines = Sequence[Sequence[str]]


def aligned(lines: Lines) -> list[str]:
    """Returns a table as lines of text, each column as wide as its longest cell.

    Args:
      lines: Lines of cells, all of one length; the first is the header. A column is right-aligned
        if each cell below the header begins with a digit, is "-" or is empty, and left-aligned
        otherwise.
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
    """Returns a table as lines of Markdown; arguments and alignment are those of `aligned`."""
    header, *rest = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    rule = ["---:" if numeric else "---" for numeric in _are_numeric(lines)]
    return [f"| {' | '.join(line)} |" for line in (header, rule, *rest)]


def _are_numeric(lines: Lines) -> list[bool]:
    return [
        all(not cell or cell[0].isdigit() or cell == "-" for cell in column)
        for column in zip(*lines[1:], strict=True)
    ] or [False] * len(lines[0])
