"""HTML report of a workdir, WORKDIR/report/index.html, in one file without external resources.

    mmer report runs/unseen_speakers                    # writes the report again
    mmer report runs/unseen_speakers runs/paper         # compares several workdirs

The report is a view of records.jsonl, predictions/<cell>.npz, curves/<cell>.json, and the images
and audio that the caller passes. Layout, style and script are in report.html.j2, report.css and
report.js.
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
    clip_level,
    ladder,
    pages,
    plots,
    robustness,
    run_info,
    speaker_recordings,
)
from mmer_jax.reports.sections import Section
from mmer_jax.results import records

# Functions that take a workdir and return further sections of its report.
SECTIONS = (ladder.make_sections, robustness.make_sections, speaker_recordings.make_sections)

# A function of a config row and names of clips that returns, for each clip that is available,
# {"images": modality -> uint8 [h, w, 1 or 3], "audio": (int16 [n], sample rate in Hz) or None}.
LookUp = Callable[[str, Sequence[str]], Mapping[str, Mapping[str, Any]]]


def write_report(
    workdir: str | os.PathLike,
    examples: Sequence[Mapping[str, Any]] | None = None,
    guarantees: Mapping[str, str] | None = None,
    look_up: LookUp | None = None,
) -> Path:
    """Writes the report of a workdir.

    Args:
      workdir: Workdir with records.jsonl, predictions and, if training curves were kept,
        curves/<cell>.json (a list of {epoch, train_loss, train_accuracy, seconds}).
      examples: About ten examples of the network's inputs, each with `clip`, `emotion`, `view`,
        optionally `audio_variant`, and `images`: modality -> uint8 [h, w, 3] RGB or [h, w, 1] gray.
      guarantees: Name of a protocol -> description of what training and test split cannot share;
        None for the descriptions of the protocol registry.
      look_up: Function that returns the images and audio of misclassified clips; if None, the
        report shows only the names of the clips.

    Returns:
      The path of the report.

    Raises:
      UserError: There are no records, or records of one table have different data under one dataset
        name.
    """
    workdir = Path(workdir)
    stored = records.read(workdir / records.FILE_NAME)
    if not stored:
        raise errors.UserError(
            f"nothing to report: {workdir / records.FILE_NAME} holds no records. Run "
            f"run.py --config=configs/... --workdir={workdir} until the first record is written."
        )
    blocks = summary.speaker_independent_first(summary.blocks(stored, workdir))
    summary.check_same_data(blocks)
    page = pages.render(
        "report.html.j2",
        tables=list(dict.fromkeys(block.table for block in blocks)),
        blocks=[_block(block, workdir, guarantees, look_up) for block in blocks],
        caveats=caveats.list_caveats(blocks),
        sections=_sections(workdir),
        rendered_note=summary.RENDERED_NOTE
        if any(row.rendered for block in blocks for row in block.rows)
        else "",
        recorded=any(record["dataset"].get("origin") != summary.RENDERED for record in stored),
        run=run_info.collect(stored),
        records_file=pages.embed_download(
            records.FILE_NAME, (workdir / records.FILE_NAME).read_text(encoding="utf-8")
        ),
        examples=[_example(example) for example in examples or ()],
        example_modalities=list(
            dict.fromkeys(name for e in examples or () for name in e["images"])
        ),
        how_to_read={
            m.name: (m.reading, m.shows_direction) for m in modalities.MODALITIES.values()
        },
    )
    return pages.write_page(workdir / "report" / "index.html", page)


def _block(
    block: summary.Block,
    workdir: Path,
    guarantees: Mapping[str, str] | None,
    look_up: LookUp | None,
) -> dict[str, Any]:
    """Makes the template values of one table of results under one protocol."""
    results = clip_level.read_rows([workdir], block.protocol)
    by_name = {row.name: row for row in results.rows if row.table == block.table}
    row_cards = [cards.make_card(row, block, workdir, by_name.get(row.name)) for row in block.rows]
    for card in row_cards:
        media: Mapping[str, Mapping[str, Any]] = {}
        if look_up and card["worst"]:
            media = look_up(card["row"].name, [error.clip for error in card["worst"]])
        card["worst"] = [(error, _media_uris(media.get(error.clip))) for error in card["worst"]]
    return {
        "block": block,
        "subset": " and ".join(sorted({row.tested for row in block.rows})),
        "guarantee": summary.describe_guarantee(block.protocol, guarantees),
        **clip_level.make_section(results),
        "cards": row_cards,
    }


def _sections(workdir: Path) -> list[Section]:
    return [section for sections in SECTIONS for section in sections(workdir)]


def _media_uris(media: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the images and audio of a clip as data URIs; no images if `media` is None."""
    if media is None:
        return {"images": {}, "audio": None}
    waveform = media.get("audio")
    return {
        "images": _image_uris(media["images"]),
        "audio": pages.encode_wav(*waveform) if waveform else None,
    }


def _example(example: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the template values of one of the `examples` of `write_report`."""
    return {
        "clip": example["clip"],
        "emotion": example["emotion"],
        "view": example["view"],
        "audio_variant": example.get("audio_variant", ""),
        "images": _image_uris(example["images"]),
    }


def _image_uris(images: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Returns the data URI, height and width of each image, by modality."""
    return {
        name: {
            "uri": plots.encode_png(image),
            "height": np.shape(image)[0],
            "width": np.shape(image)[1],
        }
        for name, image in images.items()
    }
