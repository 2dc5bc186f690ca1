"""The report as a page: structure, content, escaping, caveats."""

import base64
import dataclasses
import html.parser
import io
import json
import subprocess
import sys
import wave

import numpy as np
import pytest
from PIL import Image

from mmer_jax import errors
from mmer_jax.evaluation import aggregation, summary
from mmer_jax.reports import caveats, report
from mmer_jax.results import records

PROMISES = {"triplet_random": "Nothing is kept apart.", "clip_random": "A clip stays together."}
VOID = {"meta", "link", "img", "br", "wbr", "hr", "input"}


class Page(html.parser.HTMLParser):
    """Strict parser: elements must be closed in order. Collects texts, links and fetched URLs."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.fetched, self.text, self.ids, self.links = [], [], [], set(), []
        self.count: dict[str, int] = {}
        self.feed(text)
        self.close()
        assert not self.open, f"elements that are not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self._note(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self._note(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    def _note(self, tag, attributes):
        self.count[tag] = self.count.get(tag, 0) + 1
        for name, value in attributes:
            if name == "id":
                assert value not in self.ids
                self.ids.add(value)
            elif name == "href":
                self.links.append(value)
            elif name in ("src", "srcset", "data", "poster", "action", "xlink:href"):
                self.fetched.append(value)

    def words(self) -> str:
        return " ".join("".join(self.text).split())


def read(path) -> Page:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    page = Page(text)
    # Nothing is fetched: links stay in the page, styles and images are embedded.
    assert not {"link", "iframe", "object", "base"} & set(page.count)
    assert page.count["script"] == 1  # It is embedded: it has no src.
    assert "url(" not in text and "@import" not in text
    for link in page.links:
        assert (link.startswith("#") and link[1:] in page.ids) or link.startswith("data:")
    for uri in page.fetched:
        head, data = uri.split(",")
        content = io.BytesIO(base64.b64decode(data))
        if head == "data:audio/wav;base64":
            wave.open(content).close()
        else:
            assert head == "data:image/png;base64"
            Image.open(content).verify()
    return page


def example(i: int = 0, **changes) -> dict:
    rng = np.random.default_rng(i)
    sizes = {"face": (16, 16, 3), "flow": (16, 16, 3), "mel": (16, 16, 1)}
    return {
        "clip": f"01-01-05-01-01-01-{i:02d}",
        "emotion": "anger",
        "view": 0,
        "images": {n: rng.integers(0, 256, s, np.uint8) for n, s in sizes.items()},
        **changes,
    }


def test_one_seed_two_protocols(write_run):
    cells = [(r, p, 0) for p in PROMISES for r in ("mel", "face", "face_flow_mel")]
    workdir = write_run(cells, paper_accuracy=0.9377)
    path = report.write_report(workdir, [example(i) for i in range(10)], PROMISES)
    assert path == workdir / "report" / "index.html"
    page = read(path)
    words = page.words()
    assert page.count["svg"] == 2 * 6 and page.count["img"] == 30
    assert "Nothing is kept apart." in words and "A clip stays together." in words
    assert "paper 93.8" in words and "0.96" in words
    first = records.read(workdir / records.FILE_NAME)[0]
    assert f"{summary.percent(first['accuracy'])} per example" in words
    for value in ("9f86d081884c7d65", "truncated: 2", "3b1f9e20", "0123abcd", "jax 0.10.2", "haar"):
        assert value in words
    assert "17.8 million parameters" in words and "face frames + optical flow" in words
    assert [p.name for p in path.parent.iterdir()] == ["index.html"]


def test_every_confusion_count_is_shown(write_run):
    workdir = write_run([("mel", "clip_random", 0)])
    words = read(report.write_report(workdir, None, PROMISES)).words()
    last = records.read(workdir / records.FILE_NAME)[-1]
    for emotion, counts in zip(last["emotions"], last["confusion"], strict=True):
        total = sum(counts)
        shown = "".join(f" {100 * n / total:.0f}{n}" for n in counts)
        assert f"{emotion}{shown} {total}" in words


def test_several_seeds(write_run):
    workdir = write_run([("mel", "clip_random", seed) for seed in range(3)])
    page = read(report.write_report(workdir, None, PROMISES))
    scores = summary.blocks(records.read(workdir / records.FILE_NAME))[0].rows[0].last.scores
    assert f"{summary.percent(scores.accuracy)} ± {summary.percent(scores.spread)}" in page.words()
    assert "3 seeds" in page.words() and "summed over all 3 runs" in page.words()
    assert "One seed" not in page.words()


def test_without_curves_and_examples(write_run):
    workdir = write_run([("mel", "clip_random", 0)], curves=False)
    page = read(report.write_report(workdir, None, PROMISES))
    assert "There is no training curve" in page.words()
    assert "img" not in page.count and "inputs" not in page.ids


def test_unreadable_curves_are_named(write_run):
    workdir = write_run([("mel", "clip_random", 0)])
    (curve,) = (workdir / "curves").iterdir()
    for content in (curve.read_text()[:-9], "{}[", '[{"epoch": 1}]', "[1]"):
        curve.write_text(content)
        words = read(report.write_report(workdir, None, PROMISES)).words()
        assert f"Training curves that cannot be read: {curve.name}" in words


def test_validation_accuracy_is_drawn(write_run):
    workdir = write_run([("mel", "clip_random", 0)], validation_accuracy=0.7)
    text = report.write_report(workdir, None, PROMISES).read_text()
    assert text.count('class="dot validation"') == 2


def test_everything_is_escaped(write_run):
    bad = "<script>alert('x')</script> & \"quoted\""
    workdir = write_run(
        [("mel", "clip_random", 0)],
        table=bad,
        emotions=[bad + str(i) for i in range(5)],
        device=bad,
        git_commit=bad,
        config={bad: bad},
        config_digest=bad,
        versions={bad: bad},
        dataset={"name": bad, "origin": bad, bad: [bad], "skipped": {bad: 1}},
    )
    malicious = example(clip=bad, emotion=bad, view=bad, audio_variant=bad)
    malicious["images"][bad] = malicious["images"].pop("face")
    page = read(report.write_report(workdir, [malicious], {"clip_random": bad}))
    assert page.words().count("<script>") > 20


def test_a_note_on_rendered_clips_is_at_the_top(write_run):
    workdir = write_run(
        [("mel", "clip_random", 0)], dataset={"name": "ravdess", "origin": "rendered"}
    )
    words = read(report.write_report(workdir, [example()], PROMISES)).words()
    assert words.index(summary.RENDERED_NOTE) < words.index("Results Metrics per clip")
    assert "license" not in words


def test_a_note_on_the_license_of_recordings(write_run):
    workdir = write_run([("mel", "clip_random", 0)])
    assert "license" in read(report.write_report(workdir, [example()], PROMISES)).words()


def test_a_row_whose_run_is_unfinished(write_run, make_record):
    workdir = write_run([("mel", "clip_random", 0)])
    other = make_record(row="face", modalities=["face"], protocol="clip_random", epochs=10)
    records.append(workdir / records.FILE_NAME, {**other, "seconds_per_epoch": None})
    assert "not measured" in read(report.write_report(workdir, None, PROMISES)).words()


def test_an_unknown_modality_is_shown_by_its_name(write_run):
    workdir = write_run([("gaze", "clip_random", 0)])
    unknown = example(images={"gaze": np.zeros((8, 8, 1), np.uint8)})
    assert "gaze" in read(report.write_report(workdir, [unknown], PROMISES)).words()


def test_the_report_is_replaced_and_deterministic(write_run):
    workdir = write_run([("mel", "clip_random", 0)])
    first = report.write_report(workdir, None, PROMISES).read_bytes()
    assert report.write_report(workdir, None, PROMISES).read_bytes() == first


def test_an_empty_workdir_is_an_error_that_says_what_to_run(tmp_path):
    for content in (None, ""):
        if content is not None:
            (tmp_path / records.FILE_NAME).write_text(content)
        with pytest.raises(errors.UserError, match=r"run\.py --config"):
            report.write_report(tmp_path)
    assert not (tmp_path / "report").exists()


def titles(records) -> set[str]:
    return {caveat.title for caveat in caveats.list_caveats(summary.blocks(records))}


def test_caveats_are_shown_only_where_they_apply(make_record):
    one = titles([make_record()])
    assert {"One seed", "A small test split"} <= one
    assert not any("nterval" in title for title in one)  # There are no predictions.
    assert "Rendered clips" not in one and "One speaker" not in one
    assert any("share recordings" in title for title in one)
    clip_random = titles([make_record(protocol="clip_random", n_test_clips=100)])
    assert "A small test split" not in clip_random
    assert not any("share recordings" in title for title in clip_random)
    several = titles([make_record(seed=0), make_record(seed=1)])
    assert "± is the standard deviation over seeds" in several and "One seed" not in several
    for subjects in (1, ["actor_01"]):
        dataset = {"name": "ravdess", "origin": "rendered", "subjects": subjects}
        assert {"One speaker", "Rendered clips"} <= titles([make_record(dataset=dataset)])
    assert "The paper's numbers" in titles([make_record(paper_accuracy=0.9)])


def test_caveats_on_intervals_follow_from_the_subjects_tested(write_cell):
    folder = write_cell("clip_random", 12)
    blocks = summary.blocks(records.read(folder / records.FILE_NAME), folder)
    shown = {caveat.title for caveat in caveats.list_caveats(blocks)}
    assert {"Intervals describe the choice of subjects", "Few subjects"} <= shown
    assert "Intervals over the clips of one subject" not in shown
    measured = blocks[0].rows[0].last
    one = dataclasses.replace(measured, groups=aggregation.Groups("clip", measured.groups.labels))
    block = dataclasses.replace(
        blocks[0], rows=(dataclasses.replace(blocks[0].rows[0], by_epochs={24: one}),)
    )
    shown = {caveat.title for caveat in caveats.list_caveats([block])}
    assert "Intervals over the clips of one subject" in shown
    assert not {"Intervals describe the choice of subjects", "Few subjects"} & shown


def test_evaluation_imports_nothing_heavy():
    """Results must be computable on a GPU host that has only packs and no decoding libraries."""
    program = (
        "import sys, pkgutil, importlib, mmer_jax.evaluation as e\n"
        "for module in pkgutil.iter_modules(e.__path__):\n"
        "    importlib.import_module(f'{e.__name__}.{module.name}')\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'cv2', 'librosa', 'av', 'jax', 'clu',\n"
        "         'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.replace("'", '"')) == []
