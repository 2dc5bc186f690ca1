"""Lines of cells as text in straight columns, or as a table in Markdown."""

from collections.abc import Sequence

Lines = Sequence[Sequence[str]]


def aligned(lines: Lines) -> list[str]:
    """Cells padded to columns, each wide enough for its longest cell.

    Args:
      lines: of one length; the first is the head. A column is put to the right if all that stands
        under its head begins with a digit, a dash or nothing, and to the left otherwise.
    """
    widths, right = _widths(lines), _numeric(lines)
    return [
        "  ".join(
            cell.rjust(width) if to_the_right else cell.ljust(width)
            for cell, width, to_the_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]


def markdown(lines: Lines) -> list[str]:
    """The same as a table in Markdown."""
    head, *rest = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    rule = ["---:" if to_the_right else "---" for to_the_right in _numeric(lines)]
    return [f"| {' | '.join(line)} |" for line in (head, rule, *rest)]


def _widths(lines: Lines) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _numeric(lines: Lines) -> list[bool]:
    return [
        all(not cell or cell[0].isdigit() or cell == "-" for cell in column)
        for column in zip(*lines[1:], strict=True)
    ] or [False] * len(lines[0])
