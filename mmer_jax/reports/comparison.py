"""A page that sets several work folders side by side, protocol by protocol."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmer_jax import errors
from mmer_jax.config import identity
from mmer_jax.evaluation import summary
from mmer_jax.reports import caveats, judged, pages
from mmer_jax.results import records


def write(workdirs: Sequence[Path], path: Path) -> Path:
    """Writes the page and returns its path.

    Args:
      workdirs: of run.py, two or more.
      path: of the page.

    Raises:
      UserError: a folder without a record, or rows of one protocol that speak of different data by
        one name.
    """
    workdirs = list({Path(w).resolve(): Path(w) for w in workdirs}.values())
    found = {workdir: records.read(workdir / records.FILE_NAME) for workdir in workdirs}
    for workdir, there in found.items():
        if not there:
            raise errors.UserError(
                f"{workdir} holds no record; run.py --workdir={workdir} writes them"
            )
    blocks = [block for workdir, there in found.items() for block in summary.blocks(there, workdir)]
    protocols = list(dict.fromkeys(b.protocol for b in summary.honest_first(blocks)))
    page = pages.render(
        "comparison.html.j2",
        workdirs=[str(workdir) for workdir in workdirs],
        protocols=[_protocol(name, workdirs) for name in protocols],
        differences=differences(found),
        caveats=list(dict.fromkeys(caveats.caveats(blocks))),
        rendered_note=summary.RENDERED_NOTE
        if any(row.rendered for block in blocks for row in block.rows)
        else "",
    )
    return pages.write(Path(path), page)


def _protocol(name: str, workdirs: Sequence[Path]) -> dict[str, Any]:
    known = judged.judge(workdirs, name)
    pairs, not_compared = judged.pairs(known)
    return {
        "name": name,
        "promise": summary.promise(name),
        "figures": judged.figures(known),
        "figures_head": judged.FIGURES_HEAD,
        "pairs": pairs,
        "pairs_head": judged.PAIRS_HEAD,
        "notes": [*known.left_out, *not_compared],
    }


def differences(found: dict[Path, list[dict]]) -> list[list[str]]:
    """The fields of configs that differ between rows of the work folders.

    Args:
      found: work folder -> its records.

    Returns:
      lines of cells, the head first: field, then the value in each row of each folder; empty where
      nothing differs.
    """
    configs = {}
    for workdir, there in found.items():
        for record in there:
            key = f"{workdir}: {record['row']}" if len(found) > 1 else record["row"]
            configs[key] = {
                field: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
                for field, value in identity.flatten(record["config"]).items()
                if not identity.is_excluded(field)
            }
    fields = sorted(set().union(*configs.values()))
    lines = [
        [field, *(configs[key].get(field, "(absent)") for key in configs)]
        for field in fields
        if len({config.get(field, "(absent)") for config in configs.values()}) > 1
    ]
    return [["field", *configs], *lines] if lines else []
