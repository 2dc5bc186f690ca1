"""Both pages in a real browser: headless Chromium, controlled through its debugging port."""

import json
import shutil
import subprocess
import time
import urllib.request

import numpy as np
import pytest
import websocket

from mmer_jax.reports import comparison, report

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PHONE = 360  # pixels


class Tab:
    """A tab of the browser, controlled by the Chrome DevTools Protocol."""

    def __init__(self, address: str):
        self._socket = websocket.create_connection(address, timeout=60, suppress_origin=True)
        self._sent = 0
        self.events: list[dict] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters):
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._sent:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, path, width: int) -> None:
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=width <= PHONE,
        )
        self.call("Page.navigate", url=path.as_uri())
        for _ in range(600):
            if self.value("document.readyState") == "complete":
                return
            time.sleep(0.05)
        pytest.fail(f"{path} did not load within 30 s")

    def value(self, expression: str):
        """Evaluates a JavaScript expression in the page; awaits a promise."""
        done = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"needs a browser: none of {', '.join(PROGRAMS)} is installed")
    profile = tmp_path_factory.mktemp("profile")
    command = [
        program,
        "--headless",
        "--no-sandbox",  # Chromium refuses to run as root otherwise.
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "about:blank",
    ]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port_file = profile / "DevToolsActivePort"
        for _ in range(1200):
            if port_file.exists() and port_file.read_text().strip():
                break
            assert browser.poll() is None, f"{program} ended with {browser.returncode}"
            time.sleep(0.05)
        port = port_file.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [one for one in json.load(answer) if one["type"] == "page"]
        opened = Tab(pages[0]["webSocketDebuggerUrl"])
        yield opened
        opened.close()
    finally:
        browser.terminate()
        browser.wait(30)


@pytest.fixture
def workdir(write_cell):
    """Rows whose orders by name and by accuracy differ, under two protocols, with curves."""
    for protocol in ("triplet_random", "clip_random"):
        for row, correct in (
            ("mel", 12),
            ("a_long_name_of_a_row_that_a_phone_must_fold", 9),
            ("zz", 20),
        ):
            for seed in (0, 1):
                folder = write_cell(protocol, correct, seed=seed, row=row, validation=True)
                curves = folder / "curves" / f"{row}-{protocol}-fold0-seed{seed}.json"
                curves.parent.mkdir(exist_ok=True)
                epochs = [
                    {"epoch": e, "train_loss": (2 + seed) / e, "train_accuracy": 1 - 0.8 / e}
                    for e in range(1, 25)
                ]
                curves.write_text(json.dumps(epochs))
    return folder


def write_page(workdir):
    rng = np.random.default_rng(0)
    images = {"mel": rng.integers(0, 256, (16, 16, 1), np.uint8)}

    def look_up(row, clips):
        waveform = (rng.integers(-9999, 9999, 1600).astype(np.int16), 16000)
        return {clip: {"images": images, "audio": waveform} for clip in clips}

    example = {"clip": "03-01-05-01-01-01-01", "emotion": "anger", "view": 0, "images": images}
    return report.write_report(workdir, [example], look_up=look_up)


def check_page(tab, path):
    """Checks that a page fits its window, has all images and no errors, and fetches nothing."""
    for width in (PHONE, 1200):
        tab.open(path, width)
        assert tab.value("document.documentElement.scrollWidth") <= width
        assert tab.value("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        failures = [
            e
            for e in tab.events
            if e["method"] in ("Runtime.exceptionThrown", "Network.loadingFailed")
            or (e["method"] == "Log.entryAdded" and e["params"]["entry"]["level"] == "error")
        ]
        assert not failures
        urls = {
            e["params"]["request"]["url"]
            for e in tab.events
            if e["method"] == "Network.requestWillBeSent"
        }
        assert {url for url in urls if not url.startswith("data:")} <= {path.as_uri()}


PLAY = """new Promise(done => {
  const audio = document.querySelector("audio");
  audio.onloadedmetadata = () => done(audio.duration);
  audio.onerror = () => done(-1);
  audio.preload = "metadata";
  audio.load();
})"""


def column(tab, name, number, text="textContent.trim()"):
    """Returns the cells of a column of a sortable table, from the top."""
    cells = f"[...document.querySelector('table[aria-label=\"{name}\"]').tBodies[0].rows]"
    return tab.value(f"{cells}.map(row => row.cells[{number}].{text})")


def click(tab, name, number):
    table = f"document.querySelector('table[aria-label=\"{name}\"]')"
    tab.value(f"{table}.tHead.rows[0].cells[{number}].querySelector('button').click()")
    return tab.value(f"{table}.tHead.rows[0].cells[{number}].getAttribute('aria-sort')")


def test_the_report(tab, workdir):
    path = write_page(workdir)
    check_page(tab, path)
    assert tab.value("document.images.length") > 6
    assert tab.value("document.querySelectorAll('svg.chart').length") == 2 * 3 * 3
    assert tab.value(PLAY) == pytest.approx(0.1, abs=0.01)

    name = "Metrics per clip, clip_random"
    before = column(tab, name, 0)
    assert click(tab, name, 0) == "ascending"
    assert column(tab, name, 0) == sorted(before)
    assert click(tab, name, 0) == "descending"
    assert column(tab, name, 0) == sorted(before, reverse=True)
    assert click(tab, name, 1) == "ascending"
    numbers = [float(v) for v in column(tab, name, 1, "dataset.value")]
    assert numbers == sorted(numbers) and len(set(numbers)) == 3
    assert click(tab, name, 1) == "descending"
    assert [float(v) for v in column(tab, name, 1, "dataset.value")] == numbers[::-1]
    saved = "document.querySelector('a[download=\"records.jsonl\"]').href"
    text = tab.value(f"fetch({saved}).then(answer => answer.text())")
    assert text == (workdir / "records.jsonl").read_text()


def test_the_report_is_readable_without_scripts(tab, workdir):
    path = write_page(workdir)
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(path, 1200)
        document = tab.call("DOM.getDocument", depth=-1)
        assert "Metrics per clip, clip_random" in json.dumps(document)
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)


def test_the_comparison_page(tab, workdir, write_cell, tmp_path):
    other = write_cell("clip_random", 15, workdir="other")
    path = comparison.write_comparison([workdir, other], tmp_path / "compared.html")
    check_page(tab, path)
    name = "Pairs, clip_random"
    assert len(column(tab, name, 0)) >= 3
    click(tab, name, 2)
    values = [float(v) for v in column(tab, name, 2, "dataset.value")]
    assert values == sorted(values)
