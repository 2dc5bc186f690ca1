"""Contact sheets: the content of the pages, and the lists that their script writes and reads."""

import base64
import html.parser
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.cli.frames import main
from mmer_jax.datasets import clips, frame_lists
from mmer_jax.frame_selection import processing, sheets
from mmer_jax.media import video


class Page(html.parser.HTMLParser):
    """Tags of a page with their attributes, and its script."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.script = [], ""
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.script += data

    def find(self, tag, **attributes):
        return [a for t, a in self.tags if t == tag and attributes.items() <= a.items()]

    @property
    def tiles(self):
        return [a for a in self.find("button") if "data-frame" in a]


@pytest.fixture(scope="module")
def page(baum1, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheets")
    command = ["sheets", "--manual_dir", str(baum1), "--out", str(folder), "--every", "2"]
    assert main([*command, "--workers", "1"]) == 0
    return Page(folder / "index.html")


def test_each_usable_clip_is_shown_with_every_second_frame(page, baum1):
    frames = {}
    for tile in page.tiles:
        frames.setdefault(tile["data-clip"], []).append(int(tile["data-frame"]))
    expected = {}
    for recording in processing.select_recordings("baum1_acted", baum1):
        try:
            recording.facts()
        except errors.ClipError:
            continue  # no label, so the clip is in no build
        count = video.read_frames(recording.source(), []).count
        expected[recording.name] = list(range(1, count, 2))
    assert frames == expected and len(expected) == 6
    for tile in page.tiles:
        assert tile["aria-pressed"] == "false" and tile["type"] == "button"
        label = rf"{tile['data-clip']}, frame {tile['data-frame']}, \d+\.\d\d seconds"
        assert re.fullmatch(label, tile["aria-label"])


def test_the_image_is_the_face_of_that_frame(page, baum1):
    """Compares a tile with the example of a `frames` build that has the same frame index."""
    recording = processing.select_recordings("baum1_acted", baum1)[0]
    examples = clips.process_recording(recording, "frames", clips.Options()).examples
    images = [
        image["src"]
        for image, tile in zip(page.find("img"), page.tiles, strict=True)
        if tile["data-clip"] == recording.name
    ]
    for image, example in zip(images, examples[::2], strict=True):
        kind, _, data = image.partition(",")
        assert kind == "data:image/jpeg;base64"
        shown = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        face = cv2.imdecode(np.frombuffer(example["face"], np.uint8), cv2.IMREAD_COLOR)
        face = cv2.resize(face, (sheets.SIZE,) * 2, interpolation=cv2.INTER_AREA)
        assert np.abs(shown.astype(int) - face).mean() < 8


def test_a_page_loads_nothing(page):
    assert not re.search(r"(https?:)?//[a-z]", page.text.split("<script>")[0])
    assert "http" not in page.script and "fetch(" not in page.script
    for tag, attributes in page.tags:
        source = attributes.get("src", attributes.get("href", "data:"))
        assert source.startswith("data:"), (tag, source)
    (policy,) = page.find("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'; img-src data:;")
    assert not page.find("link") and len(page.find("script")) == 1


def test_many_clips_get_a_page_per_subject(baum1, tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "MAX_CLIPS_PER_PAGE", 2)
    recordings = processing.select_recordings("baum1_acted", baum1)
    index = Page(sheets.write(recordings, tmp_path, "BAUM-1 <acted>", every=5, workers=1))
    names = [link["href"] for link in index.find("a")]
    assert names == ["S001.html", "S002.html", "S003.html"] and not index.tiles
    pages = [Page(tmp_path / name) for name in names]
    for name, subject in zip(names, pages, strict=True):
        assert {tile["data-clip"][:4] for tile in subject.tiles} == {name[:4]}
    # All pages share one storage key, so that the index counts all picks.
    assert len({p.find("body")[0]["data-key"] for p in [index, *pages]}) == 1
    assert "BAUM-1 &lt;acted&gt;" in index.text


@pytest.mark.parametrize("arguments", [["--every", "0"], ["S001_999"], ["--detector", "eyes"]])
def test_a_mistake_gives_one_message(arguments, baum1, tmp_path, capsys):
    command = ["sheets", "--manual_dir", str(baum1), "--out", str(tmp_path / "out")]
    assert main([*command, *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "out").exists()


# The script, run by Node.js if it is installed.


@pytest.fixture
def run_script(page):
    node = shutil.which("node")
    if not node:
        pytest.skip("needs Node.js")

    def run(expression):
        program = f"{page.script}\nconsole.log(JSON.stringify({expression}));"
        process = subprocess.run(
            [node, "-"], input=program, capture_output=True, text=True, timeout=60
        )
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)

    return run


def test_python_reads_the_saved_list(run_script, tmp_path):
    steps = (
        "(() => { const p = new Map(); pick(p, 'S002_001', 11); pick(p, 'S001_001', 30);"
        "pick(p, 'S002_001', 9); pick(p, 'S001_001', 4); unpick(p, 'S001_001', 30);"
        "pick(p, 'S003_001', 1); unpick(p, 'S003_001', 1); return formatList(p); })()"
    )
    path = tmp_path / "picks.csv"
    path.write_text(run_script(steps))
    rows = frame_lists.read_picks(path).rows
    assert rows == {"S001_001": {4: 2}, "S002_001": {9: 3, 11: 4}}


def test_the_page_loads_lists_of_python(run_script, tmp_path):
    rows = [("S001_001", 4, 0.5), ("S001_001", 12, 0.25), ("S002_001", 1, 3.0)]
    path = frame_lists.write(tmp_path / "picks.csv", (*frame_lists.PICKS, "distance"), rows)
    text = "\ufeff" + path.read_text().replace("\n", "\r\n")
    loaded = run_script(f"[...parseList({json.dumps(text)})].map(([c, f]) => [c, [...f]])")
    assert loaded == [["S001_001", [4, 12]], ["S002_001", [1]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip;frame_index\na;1", "row 1 lacks the columns clip and frame_index"),
        ("clip,frame_index\na,1\n\na,0", "row 4 has no clip or no valid frame number"),
        ("clip,frame_index\na", "row 2 has no clip or no valid frame number"),
    ],
)
def test_a_malformed_list_is_refused_with_its_row(run_script, text, message):
    attempt = "(() => { try { parseList(%s); } catch (e) { return e.message; } })()"
    assert message in run_script(attempt % json.dumps(text))
