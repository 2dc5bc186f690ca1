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
    """Serves CONTENT as any name; the server's fields say how well."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
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
    server.content, server.asked, server.cuts = CONTENT, [], []
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


def test_a_file_is_fetched_once(server, tmp_path):
    (file,) = fetch(server, tmp_path / "new")
    assert file.read_bytes() == CONTENT and file.name == "a.zip"
    assert server.asked == [("/files/a.zip?download=1", None)]
    fetch(server, tmp_path / "new")
    assert len(server.asked) == 1
    assert [f.name for f in (tmp_path / "new").iterdir()] == ["a.zip"]


def test_a_lost_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.cuts = [1_000_000, 500_000]
    (file,) = fetch(server, tmp_path)
    assert file.read_bytes() == CONTENT
    assert [r for _, r in server.asked] == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_stopped_download_goes_on_in_the_next_call(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:700_000])
    (file,) = fetch(server, tmp_path)
    assert file.read_bytes() == CONTENT
    assert [r for _, r in server.asked] == ["bytes=700000-"]


def test_a_part_that_is_whole_is_only_verified(server, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    (file,) = fetch(server, tmp_path)
    assert file.exists() and server.asked == []


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.ranges = False
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:700_000])
    (file,) = fetch(server, tmp_path)
    assert file.read_bytes() == CONTENT


def test_a_connection_that_brings_nothing_is_given_up_and_what_came_is_kept(server, tmp_path):
    server.cuts = [1000, 0, 0, 0]
    with pytest.raises(errors.UserError, match="goes on from there"):
        fetch(server, tmp_path)
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:1000]
    assert len(server.asked) == 4


def test_wrong_md5(server, tmp_path):
    server.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(errors.UserError, match=f"MD5 .* where {ARCHIVE.md5} was expected"):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_too_long_an_answer(server, tmp_path):
    server.content = CONTENT + b"more"
    with pytest.raises(errors.UserError, match="bytes where"):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_not_found(server, tmp_path):
    server.status = 404
    with pytest.raises(errors.UserError, match=r"a\.zip\?download=1 answered 404"):
        fetch(server, tmp_path)
    assert len(server.asked) == 1


def test_an_overloaded_server_is_asked_again(server, tmp_path):
    server.status = 503
    with pytest.raises(errors.UserError, match="503"):
        fetch(server, tmp_path)
    assert len(server.asked) == 3


def test_no_server(tmp_path):
    with pytest.raises(errors.UserError, match="could not get"):
        download.fetch([ARCHIVE], tmp_path, "http://127.0.0.1:9/files", pauses=())


def test_a_full_disk_is_told_before(server, tmp_path):
    with pytest.raises(errors.UserError, match=r"needs 1000000\.0 GB"):
        fetch(server, tmp_path, Archive("a.zip", 10**15, "0"))
    assert server.asked == []


def test_a_file_of_another_size_is_not_taken(server, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"short")
    with pytest.raises(errors.UserError, match="has 5 bytes where"):
        fetch(server, tmp_path)
