"""HTML page that compares several workdirs, protocol by protocol."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmer_jax import errors
from mmer_jax.config import identity
from mmer_jax.evaluation import summary
from mmer_jax.reports import caveats, clip_level, pages
from mmer_jax.results import records
from mmer_jax.results.records import Record


def write(workdirs: Sequence[Path], path: Path) -> Path:
    """Writes the page.

    Args:
      workdirs: Workdirs of two or more runs.
      path: Path of the page.

    Returns:
      The path of the page.

    Raises:
      UserError: A workdir has no records, or rows of one protocol have different data under one
        dataset name.
    """
    workdirs = list({Path(w).resolve(): Path(w) for w in workdirs}.values())
    by_workdir = {workdir: records.read(workdir / records.FILE_NAME) for workdir in workdirs}
    for workdir, stored in by_workdir.items():
        if not stored:
            raise errors.UserError(
                f"{workdir} holds no records; run.py --workdir={workdir} writes them"
            )
    blocks = [
        block for workdir, stored in by_workdir.items() for block in summary.blocks(stored, workdir)
    ]
    protocols = dict.fromkeys(b.protocol for b in summary.speaker_independent_first(blocks))
    page = pages.render(
        "comparison.html.j2",
        workdirs=[str(workdir) for workdir in workdirs],
        protocols=[_protocol_section(name, workdirs) for name in protocols],
        differences=differences(by_workdir),
        caveats=list(dict.fromkeys(caveats.caveats(blocks))),
        rendered_note=summary.RENDERED_NOTE
        if any(row.rendered for block in blocks for row in block.rows)
        else "",
    )
    return pages.write(Path(path), page)


def _protocol_section(name: str, workdirs: Sequence[Path]) -> dict[str, Any]:
    results = clip_level.read(workdirs, name)
    pairs, not_compared = clip_level.pairs_table(results)
    return {
        "name": name,
        "promise": summary.promise(name),
        "metrics": clip_level.metrics_table(results),
        "metrics_head": clip_level.METRICS_HEAD,
        "pairs": pairs,
        "pairs_head": clip_level.PAIRS_HEAD,
        "notes": [*results.left_out, *not_compared],
    }


def differences(by_workdir: Mapping[Path, Sequence[Record]]) -> list[list[str]]:
    """Lists the config fields that differ between the rows of the workdirs.

    Args:
      by_workdir: Workdir -> its records.

    Returns:
      Lines of cells, the head first: name of the field, then its value for each row of each
      workdir. Empty if nothing differs.
    """
    configs = {}
    for workdir, stored in by_workdir.items():
        for record in stored:
            key = f"{workdir}: {record['row']}" if len(by_workdir) > 1 else record["row"]
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
