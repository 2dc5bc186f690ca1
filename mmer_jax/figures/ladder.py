"""The leakage ladder: accuracy with its interval against protocol."""

from collections.abc import Sequence

from mmer_jax.evaluation import ladder
from mmer_jax.evaluation.summary import percent
from mmer_jax.figures import canvas

MEASURED, PUBLISHED = "#1f4e79", "#9a6b00"


def draw(found: Sequence[ladder.Rung], title: str):
    """A matplotlib Figure: a line for each rung, the published figures below.

    Args:
      found: as ladder.rungs gives them.
      title: above it.

    Raises:
      UserError: matplotlib is not installed.
    """
    count = len(found) + len(ladder.PUBLISHED)
    made = canvas.figure(8, 0.9 + 0.42 * count)
    axes = made.add_subplot()
    for i, rung in enumerate(found):
        accuracy = rung.accuracy
        axes.plot([accuracy.low, accuracy.high], [i, i], color=MEASURED, linewidth=2)
        axes.plot(accuracy.per_seed, [i] * rung.seeds, "|", color=MEASURED, markersize=9)
        axes.plot(accuracy.mean, i, "o", color=MEASURED)
        axes.annotate(
            percent(accuracy.mean), (accuracy.mean, i), (0, 7), textcoords="offset points",
            ha="center", fontsize="small",
        )  # fmt: skip
    for i, one in enumerate(ladder.PUBLISHED, len(found)):
        axes.plot([one.low, one.high], [i, i], color=PUBLISHED, linewidth=2)
        axes.plot((one.low + one.high) / 2, i, "s", color=PUBLISHED)
    axes.axhline(len(found) - 0.5, color="gray", linewidth=0.8)
    chance = sum(rung.chance for rung in found) / len(found)
    axes.plot([chance, chance], [-0.5, len(found) - 0.5], "--", color="gray", linewidth=1)
    axes.annotate("chance", (chance, -0.5), (3, -9), textcoords="offset points", fontsize="small")
    names = [rung.protocol for rung in found] + [one.title for one in ladder.PUBLISHED]
    axes.set_yticks(range(count), names)
    axes.set_ylim(count - 0.5, -0.7)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0%", "20%", "40%", "60%", "80%", "100%"])
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("accuracy per clip, its 95% interval over subjects, single seeds")
    return made
