"""The leakage ladder: one row's accuracy under each protocol, from the paper's split to strangers.

Rungs that configs/leakage_ladder.py makes differ in nothing but what may be on both sides.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from mmer_jax import errors
from mmer_jax.evaluation import comparable, intervals, records, summary
from mmer_jax.evaluation.sections import Section
from mmer_jax.evaluation.summary import percent

# From everything shared to nobody known.
ORDER = (
    "triplet_random",
    "clip_random_altered_sound",
    "clip_random",
    "take_grouped",
    "statement_disjoint",
    "actor_kfold",
    "leave_one_actor_out",
)


@dataclasses.dataclass(frozen=True)
class Published:
    """A figure of others, to be seen beside a ladder and not compared with it.

    Attributes:
      title: whose, and on what.
      low, high: accuracy in 0..1; one number twice, or a range.
    """

    title: str
    low: float
    high: float


# Churaev and Savchenko 2021 print the first and how much less an actor split gave; the second
# follows from it. Human listeners: Livingstone and Russo 2018, speech, sound alone.
PUBLISHED = (
    Published("Churaev and Savchenko 2021, conventional split", 0.99, 0.99),
    Published("the same, split by actor: 20 to 30 points less", 0.69, 0.79),
    Published("people who listen, 8 emotions, sound alone", 0.62, 0.62),
)


@dataclasses.dataclass(frozen=True)
class Rung:
    """A protocol's place on the ladder.

    Attributes:
      protocol: its name.
      accuracy: in 0..1 with the interval over subjects, per clip.
      chance: the accuracy of always naming the commonest emotion.
      trained_on: examples, the fewest and the most of any network.
      networks, seeds: how many.
      epochs: trained.
    """

    protocol: str
    accuracy: intervals.Interval
    chance: float
    trained_on: tuple[int, int]
    networks: int
    seeds: int
    epochs: int


def rungs(
    workdirs: Sequence[Path], row: str, epochs: int | None = None, per: str = "clip"
) -> list[Rung]:
    """A row's rungs, in the order of the ladder.

    Args:
      workdirs: of run.py; a ladder may be spread over several.
      row: its name.
      epochs: after how many; None: the most.
      per: of clips.PER.

    Raises:
      UserError: as comparable.read, or a protocol is there twice.
    """
    found = {}
    for one in comparable.read(workdirs, rows=[row], epochs=epochs, per=per):
        if one.protocol in found:
            raise errors.UserError(
                f"row {row} was measured under {one.protocol} in {found[one.protocol].workdir} and "
                f"in {one.workdir}: one of them is a ladder's"
            )
        found[one.protocol] = one
    known = [name for name in ORDER if name in found]
    return [_rung(found[name]) for name in (*known, *sorted(set(found) - set(known)))]


def _rung(row: comparable.Row) -> Rung:
    trained = [record["n_train"] for record in row.records]
    labels = np.concatenate([test.label for test in row.tests.values()])
    return Rung(
        row.protocol,
        row.figure("accuracy"),
        float(np.bincount(labels).max() / len(labels)),
        (min(trained), max(trained)),
        len(row.records),
        len(row.tests),
        row.epochs,
    )


HEAD = ("protocol", "accuracy", "95% interval", "trained on", "networks", "seeds", "cannot leak")


def lines(found: Sequence[Rung]) -> list[tuple[str, ...]]:
    """Rungs as a table's lines, the head first; accuracies in percent."""
    told = [HEAD]
    for rung in found:
        mean, spread = rung.accuracy.mean, rung.accuracy.spread
        told.append(
            (
                rung.protocol,
                percent(mean) + ("" if spread is None else f" ±{percent(spread)}"),
                f"{percent(rung.accuracy.low)}-{percent(rung.accuracy.high)}",
                "-".join(dict.fromkeys(map(str, rung.trained_on))),
                str(rung.networks),
                str(rung.seeds),
                summary.promise(rung.protocol).split(":")[0].rstrip(". ") + ".",
            )
        )
    return told


def sections(workdir: Path) -> list[Section]:
    """The report's part: for each row that was measured under three protocols or more."""
    found = records.read(workdir / records.FILE_NAME)
    made = []
    for row in dict.fromkeys(record["row"] for record in found):
        under = {record["protocol"] for record in found if record["row"] == row}
        if len(under) < 3:
            continue
        try:
            steps = rungs([workdir], row)
        except errors.UserError as error:
            made.append(Section(f"The leakage ladder: {row}", (f"Not drawn: {error}",)))
            continue
        made.append(
            Section(
                f"The leakage ladder: {row}", text(steps), (drawing(steps),), tuple(lines(steps))
            )
        )
    return made


def text(found: Sequence[Rung]) -> tuple[str, ...]:
    """What a reader must know of a ladder, paragraph by paragraph."""
    sizes = {n for rung in found for n in rung.trained_on}
    equal = (
        f"All networks were trained on {sizes.pop()} examples, so that the rungs differ in nothing "
        "but what may be on both sides of the split and in who is tested."
        if len(sizes) == 1
        else "Networks were trained on different numbers of examples: part of what lies between "
        "the rungs is due to that (configs/leakage_ladder.py makes them equal)."
    )
    return (
        "Accuracy per clip under each protocol, mean over seeds; the bar is its 95% interval, a "
        "bootstrap over subjects. " + equal,
        "The published figures below are of other networks, and the last is of people: they stand "
        "there for orientation and are not compared.",
    )


_LEFT, _WIDTH, _LINE, _TOP = 205, 560, 26, 14  # of the drawing, in its own units


def drawing(found: Sequence[Rung]) -> str:
    """The ladder as an SVG element, coloured by the page's style sheet as plots.chart's are."""
    rows = [(rung.protocol, rung.accuracy.low, rung.accuracy.high, rung) for rung in found]
    rows += [(one.title, one.low, one.high, None) for one in PUBLISHED]
    bottom = _TOP + _LINE * len(rows)
    svg = ElementTree.Element(
        "svg", {"viewBox": f"0 0 {_WIDTH} {bottom + 24}", "role": "img", "class": "chart wide"}
    )
    ElementTree.SubElement(svg, "title").text = "; ".join(
        f"{rung.protocol} {percent(rung.accuracy.mean)}%" for rung in found
    )

    def across(share: float) -> str:
        return f"{_LEFT + (_WIDTH - _LEFT - 14) * share:.1f}"

    def segment(x1, y1, x2, y2, kind: str) -> None:
        places = {"x1": x1, "y1": str(y1), "x2": x2, "y2": str(y2), "class": kind}
        ElementTree.SubElement(svg, "line", places)

    def label(x, y, words: str, anchor: str) -> None:
        places = {"x": str(x), "y": str(y), "text-anchor": anchor}
        ElementTree.SubElement(svg, "text", places).text = words

    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        segment(across(share), _TOP, across(share), bottom, "grid")
        label(across(share), bottom + 16, f"{100 * share:.0f}%", "middle")
    chance = np.mean([rung.chance for rung in found])
    segment(across(chance), _TOP, across(chance), _TOP + _LINE * len(found), "reference")
    for i, (title, low, high, rung) in enumerate(rows):
        y = _TOP + _LINE * (i + 0.5)
        kind = "test" if rung else "train"
        for k, part in enumerate(_folded(title)):
            label(_LEFT - 8, y + 4 - 5 * (len(_folded(title)) - 1) + 10 * k, part, "end")
        segment(across(low), y, across(high), y, f"whisker {kind}")
        centre = rung.accuracy.mean if rung else (low + high) / 2
        dot = {"cx": across(centre), "cy": str(y), "r": "4", "class": f"dot {kind}"}
        ElementTree.SubElement(svg, "circle", dot)
    return ElementTree.tostring(svg, encoding="unicode")


def _folded(title: str, width: int = 34) -> list[str]:
    if len(title) <= width:
        return [title]
    cut = title.rfind(" ", 0, width)
    return [title[:cut], title[cut + 1 :]]
