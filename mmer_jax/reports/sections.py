"""The type of report sections that other modules contribute."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the report: a heading, paragraphs, drawings and a table.

    Attributes:
      title: Heading.
      text: Paragraphs of plain text.
      drawings: SVG markup as returned by `plots.chart`, inserted without escaping.
      table: Lines of cells, the head first; empty for no table.
    """

    title: str
    text: tuple[str, ...] = ()
    drawings: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
