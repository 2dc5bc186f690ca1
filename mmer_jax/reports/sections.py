"""The type of the report sections that `ladder` and `robustness` contribute."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the report: a heading, paragraphs, drawings and a table.

    Attributes:
      title: Heading.
      text: Paragraphs of plain text.
      drawings: SVG markup as returned by `plots.draw_chart`, inserted without escaping.
      table: Table rows of strings, header first; empty if the section has no table.
    """

    title: str
    text: tuple[str, ...] = ()
    drawings: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
