import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.datasets import pack, storage
from mmer_jax.datasets.pack import PackWriter, open_pack, write_pack

INFO = {"dataset": "ravdess", "origin": "recorded", "builder_config": "triplets", "skipped": {}}
BUILD_INFO = {"version": "1.0.0", "options": {}}


def make_table(clips: int = 4, views: int = 3) -> dict[str, np.ndarray]:
    """Makes a sorted table with distinguishable values."""
    count = clips * views
    columns = {
        name: np.array([f"{name} {i}" for i in range(count)]) if kind == "U" else np.arange(count)
        for name, kind in pack.COLUMNS.items()
    }
    columns |= {name: columns[name] / 7 for name, kind in pack.COLUMNS.items() if kind == "f"}
    columns["clip"] = np.repeat([f"clip {i}" for i in range(clips)], views)
    columns["view"] = np.tile(np.arange(views), clips)
    return columns


def make_images(channels: int, seed: int = 0, count: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, channels), np.uint8)


def test_written_pack_is_read(tmp_path):
    arrays = {"face": make_images(3), "mel": make_images(1)}
    written = write_pack(tmp_path / "p", INFO, make_table(), arrays)
    for path in (tmp_path / "p", tmp_path / "p" / "pack.json"):
        read = open_pack(path)
        assert len(read) == 12 and read.info == written.info
        assert read.info["modalities"] == ["face", "mel"] and read.info["size"] == 8
        for name, column in make_table().items():
            np.testing.assert_array_equal(read.table[name], column)
        for name, array in arrays.items():
            assert isinstance(read.arrays[name], np.memmap)
            np.testing.assert_array_equal(read.arrays[name], array)
    assert [f.name for f in tmp_path.iterdir()] == ["p"]


def test_examples_are_sorted_whatever_their_order(tmp_path):
    arrays = {"face": make_images(3), "mel": make_images(1)}
    first = write_pack(tmp_path / "a", INFO, make_table(), arrays)
    order = np.random.default_rng(1).permutation(12)
    shuffled = {name: column[order] for name, column in make_table().items()}
    second = write_pack(tmp_path / "b", INFO, shuffled, {k: v[order] for k, v in arrays.items()})
    assert first.info["digest"] == second.info["digest"]


def test_digest_depends_on_every_pixel_and_every_column(tmp_path):
    digests = set()
    for change in range(3):
        columns, faces = make_table(), make_images(3)
        if change == 1:
            faces[11, 7, 7, 2] ^= 1
        if change == 2:
            columns["duration"][11] += 1
        digests.add(
            write_pack(tmp_path / str(change), INFO, columns, {"face": faces}).info["digest"]
        )
    assert len(digests) == 3


def test_adding_a_modality_keeps_the_others(tmp_path):
    before = write_pack(tmp_path / "p", INFO, make_table(), {"mel": make_images(1)})
    after = write_pack(tmp_path / "p", {}, make_table(), {"face": make_images(3)})
    assert after.info["modalities"] == ["face", "mel"]
    assert after.info["origin"] == "recorded"
    assert before.digest(["mel"]) == after.digest(["mel"]) != after.digest(["mel", "face"])
    np.testing.assert_array_equal(after.arrays["mel"], make_images(1))


def test_adding_to_a_pack_of_other_examples_is_an_error(tmp_path):
    write_pack(tmp_path / "p", INFO, make_table(), {"mel": make_images(1)})
    with pytest.raises(errors.UserError, match="other examples"):
        write_pack(tmp_path / "p", INFO, make_table(clips=6, views=2), {"face": make_images(3)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"view": None, "clip": None}, "lacks the columns clip, view"),
        ({"color": np.arange(12)}, "no columns color; known: clip, view"),
        ({"view": np.arange(12) / 2}, "column view .* dtype float64, expected kind 'i'"),
        ({"duration": np.arange(13) / 2}, "differ in length: .*'duration': 13"),
    ],
)
def test_malformed_table_is_an_error(tmp_path, changes, message):
    table = {
        name: column for name, column in (make_table() | changes).items() if column is not None
    }
    with pytest.raises(ValueError, match=message):
        write_pack(tmp_path / "p", INFO, table, {"mel": make_images(1)})
    with pytest.raises(ValueError, match=message):
        PackWriter(tmp_path / "p", INFO, table, ["mel"], 8)
    assert list(tmp_path.iterdir()) == []


def test_unsorted_table_is_an_error_of_the_writer(tmp_path):
    table = {name: column[::-1] for name, column in make_table().items()}
    with pytest.raises(ValueError, match=r"must be sorted by \(clip, view\)"):
        PackWriter(tmp_path / "p", INFO, table, ["mel"], 8)


def test_error_while_writing_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), PackWriter(tmp_path / "p", INFO, make_table(), ["mel"], 8):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_folder_of_a_killed_process_is_removed_and_of_a_living_one_kept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    prefix = f".p.{os.uname().nodename}."
    (tmp_path / f"{prefix}{dead.pid}").mkdir()
    (tmp_path / f"{prefix}{os.getppid()}").mkdir()
    write_pack(tmp_path / "p", INFO, make_table(), {"mel": make_images(1)})
    assert sorted(f.name for f in tmp_path.iterdir()) == [f"{prefix}{os.getppid()}", "p"]


def test_two_writers_at_once_both_succeed(tmp_path, monkeypatch):
    with PackWriter(tmp_path / "p", INFO, make_table(), ["mel"], 8) as slow:
        slow.arrays["mel"][:] = make_images(1)
        with monkeypatch.context() as other_process:
            other_process.setattr(os, "getpid", os.getppid)
            write_pack(tmp_path / "p", INFO, make_table(), {"mel": make_images(1)})
    np.testing.assert_array_equal(open_pack(tmp_path / "p").arrays["mel"], make_images(1))


def write_damaged_pack(tmp_path, damage):
    write_pack(tmp_path / "p", INFO, make_table(), {"mel": make_images(1)})
    damage(tmp_path / "p")
    return tmp_path / "p"


def truncate(file):
    file.write_bytes(file.read_bytes()[:-10])


def test_records_and_npy_give_the_same_pack(tmp_path):
    """Images, digest, and every kind of index that a memory map accepts."""
    arrays = {"face": make_images(3), "mel": make_images(1)}
    plain = write_pack(tmp_path / "a", INFO, make_table(), arrays)
    packed = write_pack(tmp_path / "b", INFO, make_table(), arrays, "array_record")
    names = sorted(f.name for f in (tmp_path / "b").iterdir())
    assert names == ["face.array_record", "mel.array_record", "pack.json", "table.npz"]
    assert packed.info["digest"] == plain.info["digest"]
    assert packed.info | {"storage": None} == plain.info | {"storage": None}
    for name, array in arrays.items():
        records = packed.arrays[name]
        assert (records.shape, records.dtype, len(records)) == (array.shape, np.uint8, 12)
        np.testing.assert_array_equal(np.asarray(records), array)
        integers = np.array([3, 11, 0, 3])
        some = (5, -1, slice(2, 9, 3), integers, integers.reshape(2, 2), integers[:0], [1, 2])
        for indices in (*some, np.arange(12) % 2 == 0, np.int32(4)):
            np.testing.assert_array_equal(records[indices], array[indices])
        records[integers][:] = 0  # changes a copy
        with pytest.raises(IndexError):
            records[12]
    # Modalities can be added with either storage.
    both = write_pack(tmp_path / "b", {}, make_table(), {"flow": make_images(3, seed=2)}, "npy")
    assert both.info["storage"] == {"face": "array_record", "mel": "array_record", "flow": "npy"}
    np.testing.assert_array_equal(both.arrays["flow"], make_images(3, seed=2))
    np.testing.assert_array_equal(both.arrays["face"], arrays["face"])


def test_two_packs_are_joined_without_being_read(tmp_path):
    first = write_pack(
        tmp_path / "a", INFO | BUILD_INFO, make_table(), {"mel": make_images(1)}, "array_record"
    )
    others = make_table() | {"clip": np.repeat([f"other {i}" for i in range(4)], 3)}
    second = write_pack(tmp_path / "b", INFO | BUILD_INFO, others, {"mel": make_images(1, seed=1)})
    indices = np.array([5, 2]), np.array([0, 11, 7])
    joined = pack.join((first, indices[0]), (second, indices[1])).arrays["mel"]
    expected = np.concatenate([make_images(1)[indices[0]], make_images(1, seed=1)[indices[1]]])
    np.testing.assert_array_equal(np.asarray(joined), expected)
    np.testing.assert_array_equal(joined[[4, 0, 0]], expected[[4, 0, 0]])


def test_packs_of_different_sizes_are_not_joined(tmp_path):
    first = write_pack(tmp_path / "a", INFO | BUILD_INFO, make_table(), {"mel": make_images(1)})
    others = make_table() | {"clip": np.repeat([f"other {i}" for i in range(4)], 3)}
    large = {"mel": np.zeros((12, 16, 16, 1), np.uint8)}
    second = write_pack(tmp_path / "b", INFO | BUILD_INFO, others, large)
    with pytest.raises(errors.UserError, match=r"images of 8 pixels, .* of 16: .*data\.size"):
        pack.join((first, np.arange(12)), (second, np.arange(12)))


def test_joined_packs_have_the_modalities_of_both(tmp_path):
    arrays = {"face": make_images(3), "mel": make_images(1)}
    first = write_pack(tmp_path / "a", INFO | BUILD_INFO, make_table(), arrays)
    others = make_table() | {"clip": np.repeat([f"other {i}" for i in range(4)], 3)}
    second = write_pack(tmp_path / "b", INFO | BUILD_INFO, others, {"mel": make_images(1)})
    joined = pack.join((first, np.arange(12)), (second, np.arange(6)))
    assert list(joined.arrays) == joined.info["modalities"] == ["mel"]
    assert joined.table[pack.ROLE].tolist() == 12 * ["train"] + 6 * ["test"]


def test_storage_is_chosen_by_size(tmp_path, monkeypatch):
    assert storage.choose("", storage.RECORDS_FROM) == "npy"
    assert storage.choose("", storage.RECORDS_FROM + 1) == "array_record"
    assert storage.choose("npy", 10**15) == "npy"
    with pytest.raises(errors.UserError, match=r"storage of a pack .*'zip'; known: npy, array"):
        storage.choose("zip", 1)
    monkeypatch.setattr(storage, "RECORDS_FROM", 12 * 8 * 8 * 4 - 1)  # bytes of face and mel
    arrays = {"face": make_images(3), "mel": make_images(1)}
    large = write_pack(tmp_path / "p", INFO, make_table(), arrays)
    small = write_pack(tmp_path / "q", INFO, make_table(), {"face": arrays["face"]})
    assert large.info["storage"] == dict.fromkeys(arrays, "array_record")
    assert small.info["storage"] == {"face": "npy"}


def test_pack_without_a_storage_field_is_read(tmp_path):
    path = write_pack(tmp_path / "p", INFO, make_table(), {"mel": make_images(1)}).path
    info = json.loads((path / "pack.json").read_text())
    del info["storage"]
    (path / "pack.json").write_text(json.dumps(info))
    np.testing.assert_array_equal(open_pack(path).arrays["mel"], make_images(1))


def flip_bit(file):
    """Changes one bit of the last record."""
    content = bytearray(file.read_bytes())
    at = content.rindex(make_images(1)[11].tobytes()[:16]) + 8
    content[at] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "mel.array_record is missing or incomplete"),
        (lambda file: file.unlink(), "mel.array_record is missing or incomplete"),
        (lambda file: file.write_bytes(b""), "mel.array_record is missing or incomplete"),
        (flip_bit, "mel.array_record is missing or incomplete"),
        (
            lambda file: storage.write_records(file, make_images(1)[1:]),
            "has 11 images, expected 12",
        ),
        (lambda file: storage.write_records(file, make_images(3)), "images of another size"),
        (lambda file: edit(file.with_name("pack.json"), storage={"mel": "tar"}), "storage of mel"),
    ],
)
def test_damaged_records_are_a_user_error(tmp_path, damage, message):
    path = write_pack(
        tmp_path / "p", INFO, make_table(), {"mel": make_images(1)}, "array_record"
    ).path
    damage(path / "mel.array_record")
    with pytest.raises(errors.UserError, match=message):
        open_pack(path).arrays["mel"][:]


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "pack.json").unlink(), "is not a pack: it has no pack.json"),
        (lambda p: p.rename(p.with_name("q")), "is not a pack: it does not exist"),
        (lambda p: truncate(p / "pack.json"), "damaged"),
        (lambda p: truncate(p / "mel.npy"), "mel.npy is missing or incomplete"),
        (lambda p: (p / "mel.npy").unlink(), "mel.npy is missing or incomplete"),
        (lambda p: truncate(p / "table.npz"), "table.npz is missing or damaged"),
        (lambda p: (p / "table.npz").unlink(), "table.npz is missing or damaged"),
        (lambda p: edit(p / "pack.json", format=2), "has format 2, this version reads format 1"),
        (lambda p: edit(p / "pack.json", examples=13), "13 rows"),
        (lambda p: edit(p / "pack.json", size=9), r"expected uint8 \(12, 9, 9, 1\)"),
    ],
)
def test_damaged_pack_is_a_user_error(tmp_path, damage, message):
    with pytest.raises(errors.UserError, match=message):
        open_pack(write_damaged_pack(tmp_path, damage))


def test_missing_modality_is_an_error_that_lists_the_available(tmp_path):
    write_pack(tmp_path / "p", INFO, make_table(), {"mel": make_images(1)})
    with pytest.raises(errors.UserError, match="no modality 'face'; available: mel"):
        open_pack(tmp_path / "p", ["face"])
    with pytest.raises(errors.UserError, match=r"packs below it: .*p"):
        open_pack(tmp_path)


def test_reading_needs_only_numpy():
    code = (
        "import sys; from mmer_jax.corpora import emotions; from mmer_jax.datasets import pack; "
        "print(sys.modules.keys() & "
        "{'tensorflow', 'tensorflow_datasets', 'cv2', 'av', 'librosa', 'scipy', 'jax', "
        "'array_record'})"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert completed.stdout.strip() == "set()"
