"""Tests of face detection, the square crop of a clip and the background mask."""

import cv2
import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.media import faces, video
from mmer_jax.synthetic.ravdess import render_ravdess


def fake_detector(*boxes):
    """Returns a detector with prepared results, one list of boxes per image."""
    results = [np.array(b, float).reshape(-1, 4) for b in boxes]
    return lambda image: results.pop(0)


def blank(height=100, width=200):
    return np.zeros((height, width, 3), np.uint8)


def square(*boxes, margin=0.0, size=(100, 200)):
    return faces.face_square([blank(*size)] * len(boxes), fake_detector(*boxes), margin)


def test_box_is_widened_by_the_margin():
    assert square([(60, 20, 40, 40)]).box == (60, 20, 100, 60)
    assert square([(60, 30, 40, 40)], margin=0.25).box == (50, 20, 110, 80)


def test_rectangular_box_becomes_square():
    assert square([(60, 20, 30, 40)]).box == (55, 20, 95, 60)


def test_box_is_the_median_over_frames_of_the_largest_face():
    three_faces = [(10, 10, 20, 20), (60, 20, 40, 40), (150, 10, 30, 30)]
    outlier = [(0, 0, 90, 90)]
    result = square(three_faces, [(62, 22, 40, 40)], outlier, [(61, 21, 40, 40)], [])
    assert result.found
    # The medians of centers (80, 40), (82, 42), (45, 45), (81, 41) and of the four widths.
    assert result.box == (60.5, 21.5, 100.5, 61.5)


def test_box_near_the_edge_is_shifted_inside():
    assert square([(0, 0, 40, 40)], margin=0.5).box == (0, 0, 80, 80)
    assert square([(160, 60, 40, 40)], margin=0.5).box == (120, 20, 200, 100)


def test_box_larger_than_the_image_is_shrunk():
    assert square([(60, 10, 80, 80)], margin=0.5).box == (50, 0, 150, 100)


def test_without_a_face_the_box_is_the_central_square():
    assert square([], []) == faces.FaceBox((50, 0, 150, 100), False)
    assert square([], size=(200, 100)) == faces.FaceBox((0, 50, 100, 150), False)
    none = faces.make_detector("none")
    assert faces.face_square([blank()], none, 0.3) == faces.FaceBox((50, 0, 150, 100), False)


def test_crop_is_the_area_of_the_box():
    image = blank()
    image[20:60, 60:100] = (10, 20, 30)
    for size in (20, 40, 90):
        cropped = faces.crop(image, (60, 20, 100, 60), size)
        assert cropped.shape == (size, size, 3)
        assert cropped.dtype == np.uint8
        assert (cropped == (10, 20, 30)).all()


def test_crop_keeps_the_orientation():
    image = blank()
    image[20:30, 60:70] = (255, 0, 0)  # the upper left corner of the box
    image[50:60, 90:100] = (0, 0, 255)  # the lower right one
    cropped = faces.crop(image, (60, 20, 100, 60), 224)
    assert cropped[20, 20].tolist() == [255, 0, 0]
    assert cropped[-20, -20].tolist() == [0, 0, 255]
    assert not cropped[20, -20].any()


def test_crop_averages_when_it_shrinks():
    stripes = np.zeros((224, 224, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(faces.crop(stripes, (0, 0, 224, 224), 56).astype(int) - 100).max() <= 1


def test_crop_rounds_the_box_to_the_nearest_pixels():
    image = np.random.default_rng(0).integers(0, 256, (100, 200, 3), np.uint8)
    for box in ((10.6, 20.4, 50.6, 60.4), (10.6, 20.4, 50.2, 60.0), (11.4, 19.6, 51.8, 60.0)):
        np.testing.assert_array_equal(faces.crop(image, box, 40), image[20:60, 11:51])


def test_crop_stays_inside_after_rounding():
    assert faces.crop(blank(), (100.5, 0, 200.5, 100), 64).shape == (64, 64, 3)


def test_unknown_detector_lists_the_known_ones():
    with pytest.raises(errors.UserError, match="'hog'; known: haar, yunet, none"):
        faces.make_detector("hog")


def test_model_file_is_required_by_yunet_and_refused_by_the_others(tmp_path):
    with pytest.raises(errors.UserError, match="needs its model file"):
        faces.make_detector("yunet")
    with pytest.raises(errors.UserError, match=r"absent\.onnx"):
        faces.make_detector("yunet", str(tmp_path / "absent.onnx"))
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(errors.UserError, match=r"cannot load .*junk\.onnx as a YuNet model"):
        faces.make_detector("yunet", str(tmp_path / "junk.onnx"))
    for name in ("haar", "none"):
        with pytest.raises(errors.UserError, match="takes no model file"):
            faces.make_detector(name, "model.onnx")


def test_yunet_gets_a_downscaled_bgr_image_and_boxes_are_scaled_back(tmp_path, monkeypatch):
    class Network:
        def setInputSize(self, size):
            self.size = size

        def detect(self, image):
            assert image.shape == (180, 320, 3)
            assert self.size == (320, 180)
            assert image[0, 0].tolist() == [30, 20, 10]
            return 1, np.array([[40, 30, 50, 60, *range(10), 0.9]], np.float32)

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *args: Network())
    (tmp_path / "model.onnx").touch()
    detect = faces.make_detector("yunet", str(tmp_path / "model.onnx"))
    boxes = detect(np.full((720, 1280, 3), (10, 20, 30), np.uint8))
    assert boxes.tolist() == [[160, 120, 200, 240]]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Rendered actors with different faces and skin tones: name -> [uint8 RGB, ...]."""
    paths = render_ravdess(
        tmp_path_factory.mktemp("rendered"),
        actors=8,
        emotions=("anger",),
        intensities=("normal",),
        statements=(1,),
        repetitions=(1,),
        seconds=0.6,
        workers=1,
    )
    return {p.stem: list(video.read_frames(p, [0, 3, 6]).images.values()) for p in paths}


@pytest.fixture(scope="module")
def originals(original_clips):
    """Frames of real recordings: name -> [uint8 RGB, ...]."""
    paths = original_clips[::2]
    return {p.stem: list(video.read_frames(p, [5, 30, 50]).images.values()) for p in paths}


@pytest.fixture(params=["rendered", "originals"])
def heads(request):
    return request.getfixturevalue(request.param)


def test_faces_are_found_at_every_skin_tone_and_brightness(heads):
    detector = faces.make_detector("haar")
    for brightness in (1, 0.5, 0.25, 0.12):
        for name, images in heads.items():
            dimmed = [(image * brightness).astype(np.uint8) for image in images]
            assert faces.face_square(dimmed, detector).found, (name, brightness)


def test_crop_has_an_upright_face_in_its_middle(heads):
    """The cascade detects upright faces: one in the crop, hardly any in the flipped crop."""
    detector = faces.make_detector("haar")
    found_flipped = []
    for name, images in heads.items():
        box = faces.face_square(images, detector)
        cropped = faces.crop(images[0], box.box, 224)
        boxes = detector(cropped)
        assert len(boxes), name
        left, top, width, height = boxes[np.argmax(boxes[:, 2])]
        assert 130 < width < 224, name
        assert np.abs([left + width / 2 - 112, top + height / 2 - 112]).max() < 25, name
        found_flipped.append(len(detector(cropped[::-1])) > 0)
    assert np.mean(found_flipped) < 0.3


def test_real_faces_are_found_on_dark_skin_in_front_of_a_white_wall(originals):
    """Skin is dark and low in contrast, as exposed for a bright wall.

    Without histogram equalization none of these faces is found.
    """
    detector = faces.make_detector("haar")
    counts = []
    for images in originals.values():
        for image in images:
            person = (image.min(axis=2) < 235).astype(np.float32)
            person = cv2.GaussianBlur(person, (0, 0), 2)[..., None]
            dark = (image * 0.15 + 85) * 0.2  # gray levels 17 to 24
            counts.append(len(detector((image * (1 - person) + dark * person).astype(np.uint8))))
    assert np.mean(np.array(counts) > 0) >= 0.95


def test_background_mask_is_an_ellipse():
    image = np.full((40, 40, 3), 200, np.uint8)
    masked = faces.mask_background(image)
    assert set(np.unique(masked)) == {0, 200}
    assert masked[20, 20].all() and not masked[0, 0].any() and not masked[20, 0].any()
    width, height = faces.OVAL
    assert (masked[..., 0] > 0).mean() == pytest.approx(np.pi / 4 * width * height, abs=0.02)
