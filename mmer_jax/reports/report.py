"""WORKDIR/report/index.html: one file that opens anywhere, without a server or a network.

    mmer report runs/honest                    # writes it again
    mmer report runs/honest runs/paper         # compares several

It is a view: everything in it comes from records.jsonl, predictions/<cell>.npz, curves/<cell>.json
and the images and audio that the caller hands over. Style, script and layout are in report.css,
report.js and report.html.j2.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.evaluation import summary
from mmer_jax.reports import (
    cards,
    caveats,
    judged,
    ladder,
    pages,
    plots,
    robustness,
    run_facts,
)
from mmer_jax.reports.sections import Section
from mmer_jax.results import records

# Functions of a workdir that return further sections of its report.
SECTIONS = (ladder.sections, robustness.sections)

# (row, clips) -> for each clip that is at hand {"images": modality -> uint8 [h, w, 1 or 3],
# "audio": (int16 [n], rate) or None}.
LookUp = Callable[[str, Sequence[str]], Mapping[str, Mapping[str, Any]]]


def write_report(
    workdir: str | os.PathLike,
    examples: Sequence[Mapping[str, Any]] | None = None,
    promises: Mapping[str, str] | None = None,
    look_up: LookUp | None = None,
) -> Path:
    """Writes the report of a work folder and returns its path.

    Args:
      workdir: holds records.jsonl, predictions, and curves/<cell>.json where the training loop
        kept them: a list of {epoch, train_loss, train_accuracy, seconds}.
      examples: what the network saw, some ten of them: clip, emotion, view, optionally
        audio_variant, and images: by modality uint8 [h, w, 3] RGB or [h, w, 1] gray.
      promises: what each protocol keeps apart, by name; those of datasets.protocols if None.
      look_up: finds images and audio of the worst clips; None: they are named only.

    Raises:
      UserError: if there is no record to report, or records of one table speak of different data.
    """
    workdir = Path(workdir)
    found = records.read(workdir / records.FILE_NAME)
    if not found:
        raise errors.UserError(
            f"nothing to report: {workdir / records.FILE_NAME} holds no record. Run "
            f"run.py --config=configs/... --workdir={workdir} until it has measured something."
        )
    blocks = summary.honest_first(summary.blocks(found, workdir))
    summary.check_same_data(blocks)
    page = pages.render(
        "report.html.j2",
        tables=list(dict.fromkeys(block.table for block in blocks)),
        blocks=[_block(block, workdir, promises, look_up) for block in blocks],
        caveats=caveats.caveats(blocks),
        sections=_sections(workdir),
        rendered_note=summary.RENDERED_NOTE
        if any(row.rendered for block in blocks for row in block.rows)
        else "",
        recorded=any(record["dataset"].get("origin") != summary.RENDERED for record in found),
        run=run_facts.what_was_run(found),
        records_file=pages.download(
            records.FILE_NAME, (workdir / records.FILE_NAME).read_text(encoding="utf-8")
        ),
        examples=[_example(example) for example in examples or ()],
        imaged=list(dict.fromkeys(name for e in examples or () for name in e["images"])),
        how_to_read={
            m.name: (m.reading, m.shows_direction) for m in modalities.MODALITIES.values()
        },
    )
    return pages.write(workdir / "report" / "index.html", page)


def _block(
    block: summary.Block,
    workdir: Path,
    promises: Mapping[str, str] | None,
    look_up: LookUp | None,
) -> dict[str, Any]:
    """What the page shows of one table under one protocol."""
    known = judged.judge([workdir], block.protocol)
    pairs, not_compared = judged.pairs(known)
    by_name = {row.name: row for row in known.rows if row.table == block.table}
    made = [cards.card(row, block, workdir, by_name.get(row.name)) for row in block.rows]
    for card in made:
        seen = {}
        if look_up and card["worst"]:
            seen = look_up(card["row"].name, [wrong.clip for wrong in card["worst"]])
        card["worst"] = [(wrong, _seen(seen.get(wrong.clip))) for wrong in card["worst"]]
    return {
        "block": block,
        "promise": summary.promise(block.protocol, promises),
        "figures": judged.figures(known),
        "figures_head": judged.FIGURES_HEAD,
        "pairs": pairs,
        "pairs_head": judged.PAIRS_HEAD,
        "notes": [*known.left_out, *not_compared],
        "cards": made,
    }


def _sections(workdir: Path) -> list[Section]:
    return [section for sections in SECTIONS for section in sections(workdir)]


def _seen(looked_up: Mapping[str, Any] | None) -> dict[str, Any]:
    """Images and audio of a clip as addresses."""
    if looked_up is None:
        return {"images": {}, "audio": None}
    waveform = looked_up.get("audio")
    return {
        "images": _images(looked_up["images"]),
        "audio": pages.audio_data_uri(*waveform) if waveform else None,
    }


def _example(example: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "clip": example["clip"],
        "emotion": example["emotion"],
        "view": example["view"],
        "audio_variant": example.get("audio_variant", ""),
        "images": _images(example["images"]),
    }


def _images(images: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "uri": plots.png_data_uri(image),
            "height": np.shape(image)[0],
            "width": np.shape(image)[1],
        }
        for name, image in images.items()
    }
