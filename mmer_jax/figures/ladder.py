"""The leakage ladder: accuracy, with its interval, under each protocol."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmer_jax.evaluation import ladder
from mmer_jax.evaluation.summary import percent
from mmer_jax.figures import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURED, PUBLISHED = "#1f4e79", "#9a6b00"


def draw(rungs: Sequence[ladder.Rung], title: str) -> "Figure":
    """Draws the accuracy and interval of each protocol as a line, and published accuracies below.

    Args:
      rungs: Results under each protocol, as returned by `ladder.rungs`.
      title: Title of the figure.

    Raises:
      UserError: Matplotlib is not installed.
    """
    count = len(rungs) + len(ladder.PUBLISHED)
    figure = canvas.make_figure(8, 0.9 + 0.42 * count)
    axes = figure.add_subplot()
    for i, rung in enumerate(rungs):
        accuracy = rung.accuracy
        axes.plot([accuracy.low, accuracy.high], [i, i], color=MEASURED, linewidth=2)
        axes.plot(accuracy.per_seed, [i] * rung.seeds, "|", color=MEASURED, markersize=9)
        axes.plot(accuracy.mean, i, "o", color=MEASURED)
        axes.annotate(
            percent(accuracy.mean), (accuracy.mean, i), (0, 7), textcoords="offset points",
            ha="center", fontsize="small",
        )  # fmt: skip
    for i, published in enumerate(ladder.PUBLISHED, len(rungs)):
        axes.plot([published.low, published.high], [i, i], color=PUBLISHED, linewidth=2)
        axes.plot((published.low + published.high) / 2, i, "s", color=PUBLISHED)
    axes.axhline(len(rungs) - 0.5, color="gray", linewidth=0.8)
    chance = sum(rung.chance for rung in rungs) / len(rungs)
    axes.plot([chance, chance], [-0.5, len(rungs) - 0.5], "--", color="gray", linewidth=1)
    axes.annotate("chance", (chance, -0.5), (3, -9), textcoords="offset points", fontsize="small")
    names = [rung.title for rung in rungs] + [published.title for published in ladder.PUBLISHED]
    axes.set_yticks(range(count), names)
    axes.set_ylim(count - 0.5, -0.7)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0%", "20%", "40%", "60%", "80%", "100%"])
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(title, fontsize="medium")
    groups = " or ".join(dict.fromkeys(f"{rung.groups.name}s" for rung in rungs))
    axes.set_xlabel(f"accuracy per example, with 95% interval over {groups} and single seeds")
    return figure
