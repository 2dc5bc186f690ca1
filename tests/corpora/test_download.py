"""Tests of downloading archives from a local server."""

import hashlib
import http.server
import threading

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.corpora import download
from mmer_jax.corpora.download import Archive

CONTENT = np.random.default_rng(0).bytes(3 << 20)
ARCHIVE = Archive("a.zip", len(CONTENT), hashlib.md5(CONTENT).hexdigest())


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT under any name; attributes of the server make it fail in various ways."""

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = 0
        if self.server.ranges and "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.send_response(200)
        body = self.server.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.cuts:
            body = body[: self.server.cuts.pop(0)]
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.requests, server.cuts = CONTENT, [], []
    server.ranges, server.status = True, 200
    server.url = f"http://127.0.0.1:{server.server_port}/files"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(server, folder, archive=ARCHIVE, pauses=(0, 0)):
    return download.fetch([archive], folder, server.url, pauses)


def test_file_is_downloaded_once(server, tmp_path):
    (file,) = fetch(server, tmp_path / "new")
    assert file.read_bytes() == CONTENT and file.name == "a.zip"
    assert server.requests == [("/files/a.zip?download=1", None)]
    fetch(server, tmp_path / "new")
    assert len(server.requests) == 1
    assert [f.name for f in (tmp_path / "new").iterdir()] == ["a.zip"]


def test_lost_connection_is_resumed(server, tmp_path):
    server.cuts = [1_000_000, 500_000]
    (file,) = fetch(server, tmp_path)
    assert file.read_bytes() == CONTENT
    assert [r for _, r in server.requests] == [None, "bytes=1000000-", "bytes=1500000-"]


def test_interrupted_download_is_resumed_by_the_next_call(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:700_000])
    (file,) = fetch(server, tmp_path)
    assert file.read_bytes() == CONTENT
    assert [r for _, r in server.requests] == ["bytes=700000-"]


def test_complete_partial_file_is_only_verified(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    (file,) = fetch(server, tmp_path)
    assert file.exists() and server.requests == []


def test_download_restarts_if_the_server_ignores_ranges(server, tmp_path):
    server.ranges = False
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:700_000])
    (file,) = fetch(server, tmp_path)
    assert file.read_bytes() == CONTENT


def test_download_without_progress_fails_and_keeps_the_data_received(server, tmp_path):
    server.cuts = [1000, 0, 0, 0]
    with pytest.raises(errors.UserError, match="run the same command again to resume"):
        fetch(server, tmp_path)
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:1000]
    assert len(server.requests) == 4


def test_wrong_md5(server, tmp_path):
    server.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(errors.UserError, match=f"has the MD5 .*, expected {ARCHIVE.md5}"):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_too_long_response(server, tmp_path):
    server.content = CONTENT + b"more"
    with pytest.raises(errors.UserError, match=r"returned \d+ bytes, expected"):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_not_found(server, tmp_path):
    server.status = 404
    with pytest.raises(errors.UserError, match=r"a\.zip\?download=1 answered 404"):
        fetch(server, tmp_path)
    assert len(server.requests) == 1


def test_request_is_repeated_if_the_server_is_overloaded(server, tmp_path):
    server.status = 503
    with pytest.raises(errors.UserError, match="503"):
        fetch(server, tmp_path)
    assert len(server.requests) == 3


def test_no_server(tmp_path):
    with pytest.raises(errors.UserError, match="could not download"):
        download.fetch([ARCHIVE], tmp_path, "http://127.0.0.1:9/files", pauses=())


def test_missing_disk_space_is_reported_before_the_download(server, tmp_path):
    with pytest.raises(errors.UserError, match=r"needs 1000000\.0 GB"):
        fetch(server, tmp_path, Archive("a.zip", 10**15, "0"))
    assert server.requests == []


def test_existing_file_of_another_size_is_refused(server, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"short")
    with pytest.raises(errors.UserError, match="has 5 bytes, expected"):
        fetch(server, tmp_path)
