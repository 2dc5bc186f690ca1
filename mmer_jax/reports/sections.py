"""A section of the report that another part of the software than the report itself provides."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Section:
    """What a reader sees under one heading: words, drawings, a table.

    Attributes:
      title: the heading.
      text: paragraphs, plain text.
      drawings: SVG markup, as plots.chart gives it; safe to put into a page as it is.
      table: lines of cells, the first of them the head; empty for none.
    """

    title: str
    text: tuple[str, ...] = ()
    drawings: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
