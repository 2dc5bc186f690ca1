"""The pack that a row is trained on, and two packs joined."""

import shutil

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.config import resolve
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import loading, pack, tfds_io
from mmer_jax.experiments.run import run_experiment
from mmer_jax.protocols import splits
from mmer_jax.synthetic.ravdess import render_ravdess


@pytest.fixture
def turkish_pack(small_pack, tmp_path):
    """The small pack as a pack of BAUM-1: other clips, and surprise instead of fear."""
    original = pack.open_pack(small_pack)
    table = dict(original.table)
    table["clip"] = np.array([f"S{i // 3:03d}_001" for i in range(len(original))])
    table["subject"] = np.char.replace(table["subject"], "actor_", "S0")
    table["content_id"] = np.char.add("turkish ", table["content_id"])
    table["intensity"] = np.full(len(original), "acted")
    table["emotion"] = np.where(table["emotion"] == "fear", "surprise", table["emotion"])
    info = {**original.info, "dataset": "baum1_acted", "origin": "recorded"}
    info = {name: info[name] for name in _INFO_FIELDS}
    arrays = {name: 255 - array for name, array in original.arrays.items()}
    pack.write_pack(tmp_path / "turkish", info, table, arrays)
    return tmp_path / "turkish"


_INFO_FIELDS = ("dataset", "origin", "builder_config", "version", "options", "skipped")


@pytest.fixture
def crossed(small_pack, turkish_pack):
    """Config cross_dataset.py on the two packs, with images of 16 pixels."""
    from configs import cross_dataset

    config = cross_dataset.get_config()
    config.unlock()
    config.sets.ravdess.pack, config.sets.baum1_acted.pack = str(small_pack), str(turkish_pack)
    config.data.size = 16
    config.data.emotions = ("anger", "happiness")
    return config


@pytest.mark.parametrize("direction", ["ravdess_to_baum1", "baum1_to_ravdess"])
def test_one_dataset_is_trained_on_and_all_of_the_other_tested(crossed, tmp_path, direction):
    row = f"face_mel_{direction}"
    resolved = resolve.resolve_row(crossed, row)
    joined = loading.open_packs(crossed, {row: resolved}, tmp_path)[row]
    first, second = (pack.open_pack(p.data.pack) for p in loading._sources(resolved))
    subsets = splits.split_cell(Cell(row, "cross_dataset", 0, 0), resolved, joined)
    assert set(subsets["train"].clip) <= set(first.table["clip"])
    assert set(subsets["test"].clip) <= set(second.table["clip"])
    # 24 clips of two emotions, three views; a test example has the original audio.
    assert len(subsets["train"]) == len(subsets["test"]) == 72
    indices = subsets["test"].indices
    for example in (0, 40):
        clip, view = subsets["test"].clip[example], subsets["test"].view[example]
        position = np.flatnonzero((second.table["clip"] == clip) & (second.table["view"] == view))[
            0
        ]
        face = joined.arrays["face"][indices["face"][example]]
        np.testing.assert_array_equal(face, second.arrays["face"][position])
        assert joined.table["audio_variant"][indices["mel"][example]] == "original"
    assert joined.info["origin"] == "rendered"  # one of them is
    assert len(joined) == 144
    assert joined.info["dataset"] == f"{first.info['dataset']} to {second.info['dataset']}"


def test_emotions_that_one_dataset_lacks_are_an_error_that_lists_the_shared(crossed, tmp_path):
    crossed.data.emotions = ("anger", "fear", "happiness")
    row = "mel_ravdess_to_baum1"
    message = r"do not both have fear; .*share: anger, disgust, happiness, sadness"
    with pytest.raises(errors.UserError, match=message):
        loading.open_packs(crossed, {row: resolve.resolve_row(crossed, row)}, tmp_path)


def test_emotions_are_compared_before_a_long_build(crossed, tmp_path):
    crossed.data.emotions = ("anger", "boredom")  # BAUM-1's alone
    for name in crossed.sets:
        crossed.sets[name].pack, crossed.sets[name].manual_dir = None, "nowhere"
    row = "mel_ravdess_to_baum1"
    with pytest.raises(errors.UserError, match=r"do not both have boredom; .*anger, disgust, fear"):
        loading.open_packs(crossed, {row: resolve.resolve_row(crossed, row)}, tmp_path)


def test_missing_dataset_is_an_error_that_names_its_flags(crossed, tmp_path):
    crossed.sets.baum1_acted.pack = None
    row = "mel_ravdess_to_baum1"
    with pytest.raises(errors.UserError, match=r"baum1_acted .* --config.sets.baum1_acted.manual"):
        loading.open_packs(crossed, {row: resolve.resolve_row(crossed, row)}, tmp_path)


def test_dataset_cannot_be_crossed_with_itself(crossed, small_pack, tmp_path):
    crossed.rows["mel_ravdess_to_baum1"].test_data = {
        **crossed.rows["mel_ravdess_to_baum1"].data.to_dict()
    }
    row = "mel_ravdess_to_baum1"
    with pytest.raises(errors.UserError, match="both have a clip called 01-01"):
        loading.open_packs(crossed, {row: resolve.resolve_row(crossed, row)}, tmp_path)


def test_other_protocols_cannot_split_two_datasets(crossed, tmp_path):
    crossed.row, crossed.protocols = "mel_ravdess_to_baum1", ("clip_random",)
    with pytest.raises(errors.UserError, match=r"two datasets: only .*cross_dataset"):
        run_experiment(crossed, tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(folder of four rendered clips, folder of the dataset built from them)."""
    folder, data_dir = tmp_path_factory.mktemp("clips"), tmp_path_factory.mktemp("data")
    render_ravdess(
        folder, actors=1, emotions=("anger", "fear"), intensities=("strong",), repetitions=(1,),
        size=(96, 72), fps=10, seconds=0.8,
    )  # fmt: skip
    tfds_io.ensure_built("ravdess", "triplets", data_dir=data_dir, manual_dir=folder, workers=1)
    return folder, data_dir


def test_rows_share_a_pack_unless_their_images_differ(strong_config, built, tmp_path):
    folder, data_dir = built
    strong_config.data.update({"manual_dir": str(folder), "data_dir": str(data_dir), "size": 32})
    strong_config.data.emotions = ("anger", "fear")
    names = ("face", "face_mel", "face_mel_one_spectrogram", "face_masked")
    rows = {name: resolve.resolve_row(strong_config, name) for name in names}
    packs = loading.open_packs(strong_config, rows, tmp_path)
    assert packs["face"] is packs["face_mel"] is packs["face_mel_one_spectrogram"]
    unmasked, masked = packs["face"].arrays["face"], packs["face_masked"].arrays["face"]
    assert packs["face_masked"].info["options"]["mask_background"] is True
    np.testing.assert_array_equal(masked[:, 12:20, 12:20], unmasked[:, 12:20, 12:20])
    assert not masked[:, :4, :4].any() and unmasked[:, :4, :4].any()
    # A record of a cell that was trained before packs had a storage opens its pack too.
    old = rows["face"].copy_and_resolve_references()
    with old.unlocked():
        del old.data.pack_storage
    again = loading.open_packs(strong_config, {"face": old}, tmp_path)["face"]
    assert again.info == packs["face"].info
    # A pack records how it was made.
    shutil.copytree(packs["face_masked"].path, tmp_path / "copy")
    rows["face"].data.pack = str(tmp_path / "copy")
    with pytest.raises(errors.UserError, match=r"add --config.data.mask_background=True"):
        loading.open_packs(strong_config, {"face": rows["face"]}, tmp_path)


def test_one_spectrogram_for_every_frame(strong_config, small_pack):
    strong_config.data.size = 16
    data = pack.open_pack(small_pack)
    cell = Cell("face_mel", "triplet_random", 0, 0)

    def training_variants(row):
        subsets = splits.split_cell(cell, resolve.resolve_row(strong_config, row), data)
        return set(data.table["audio_variant"][subsets["train"].indices["mel"]])

    assert training_variants("face_mel") == {"original", "noise", "pitch_shift"}
    assert training_variants("face_mel_one_spectrogram") == {"original"}


def test_left_out_subjects_are_in_no_subset(strong_config, small_pack):
    strong_config.split.leave_out_fold = 1  # actors 3, 6, 7 of the twelve in the pack
    data = pack.open_pack(small_pack)
    resolved = resolve.resolve_row(strong_config, "mel")
    clips = set()
    for fold in (0, 2, 3, 4):
        cell = Cell("mel", "actor_kfold", fold, 0)
        for subset in splits.split_cell(cell, resolved, data).values():
            clips |= set(subset.clip.tolist())
    actors = {name[-2:] for name in clips}
    assert actors == {f"{a:02d}" for a in range(1, 13)} - {"03", "06", "07"}
