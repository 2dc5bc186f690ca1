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


def write_comparison(workdirs: Sequence[Path], path: Path) -> Path:
    """Writes the comparison page.

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
        differences=list_differences(by_workdir),
        caveats=list(dict.fromkeys(caveats.list_caveats(blocks))),
        rendered_note=summary.RENDERED_NOTE
        if any(row.rendered for block in blocks for row in block.rows)
        else "",
    )
    return pages.write_page(Path(path), page)


def _protocol_section(name: str, workdirs: Sequence[Path]) -> dict[str, Any]:
    """Makes the template values of the section on one protocol."""
    results = clip_level.read_rows(workdirs, name)
    return {
        "name": name,
        "guarantee": summary.describe_guarantee(name),
        **clip_level.make_section(results),
    }


def list_differences(by_workdir: Mapping[Path, Sequence[Record]]) -> list[list[str]]:
    """Lists the config fields that differ between the config rows of the workdirs.

    Args:
      by_workdir: Workdir -> the records of the workdir.

    Returns:
      Table rows of strings, header first. Each has the name of a field and its value for each
      config row of each workdir. Empty if nothing differs.
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
    table = [
        [field, *(configs[key].get(field, "(absent)") for key in configs)]
        for field in fields
        if len({config.get(field, "(absent)") for config in configs.values()}) > 1
    ]
    return [["field", *configs], *table] if table else []
