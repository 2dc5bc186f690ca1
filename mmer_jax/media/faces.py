"""Faces: where they are in an image, and one square crop for a whole clip.

The box is the same for all frames of a clip, so that the crop does not jitter and optical flow
shows the motion of the face, not the noise of the detector.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from mmer_jax import errors

# uint8 [h, w, 3] RGB -> float [n, 4]: left, top, width, height in pixels of that image.
Detector = Callable[[np.ndarray], np.ndarray]

# Added on each side of the face as a part of its width. The cascade's box ends above the eyebrows
# and below the lips; with this the forehead, a little hair, the chin and the ears are inside.
MARGIN = 0.15
# Width and height of a face in its crop: detectors find squares from brows to chin.
OVAL = (0.75, 0.95)

# Detection works on a small copy: (longest side in pixels, step between face sizes). The first pass
# finds a face that fills a quarter of the height, which nearly all recordings of a speaker show;
# the second, four times as slow, is for smaller ones and for what the first has missed.
_PASSES = ((160, 1.15), (320, 1.1))


@dataclasses.dataclass(frozen=True)
class FaceBox:
    """The square to crop.

    Attributes:
      box: left, top, right, bottom in source pixels, inside the image.
      found: whether a detector found a face; if not, the box is the largest centered square.
    """

    box: tuple[float, float, float, float]
    found: bool


def make_detector(name: str, model_path: str | None = None) -> Detector:
    """A face detector by name: see DETECTORS. It cannot be pickled: make it in the worker.

    Args:
      name: "haar", "yunet" or "none".
      model_path: the .onnx file of YuNet; the others take none.

    Raises:
      UserError: an unknown name; a model file that is needed and absent, or given and not needed.
    """
    if name not in DETECTORS:
        raise errors.unknown("face detector", name, DETECTORS)
    return DETECTORS[name](model_path)


def face_square(
    images: Sequence[np.ndarray], detector: Detector, margin: float = MARGIN
) -> FaceBox:
    """One square around the face from several frames of a clip.

    Args:
      images: uint8 [h, w, 3] RGB, all of one size, at least one.
      detector: from make_detector.
      margin: how much is added on each side, as a part of the face's width.

    Returns:
      The median over frames of the largest face's center and width, widened by the margin, shifted
      to lie inside the image and shrunk where it is larger than that.
    """
    height, width = images[0].shape[:2]
    faces = []
    for image in images:
        boxes = detector(image)
        if len(boxes):
            left, top, w, h = boxes[np.argmax(boxes[:, 2] * boxes[:, 3])]
            faces.append((left + w / 2, top + h / 2, max(w, h)))
    if faces:
        x, y, side = np.median(faces, axis=0)
        side = side * (1 + 2 * margin)
    else:
        x, y, side = width / 2, height / 2, min(width, height)
    side = min(side, width, height)
    left = min(max(x - side / 2, 0), width - side)
    top = min(max(y - side / 2, 0), height - side)
    return FaceBox(tuple(map(float, (left, top, left + side, top + side))), bool(faces))


def crop(image: np.ndarray, box: Sequence[float], size: int) -> np.ndarray:
    """Cuts a square out of an image and resizes it.

    Args:
      image: uint8 [h, w, 3].
      box: left, top, right, bottom in pixels, rounded to whole ones the same way for every image.
      size: side of the result.

    Returns:
      uint8 [size, size, 3].
    """
    height, width = image.shape[:2]
    side = max(1, min(round(box[2] - box[0]), width, height))
    left = min(max(round(box[0]), 0), width - side)
    top = min(max(round(box[1]), 0), height - side)
    part = image[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(part, (size, size), interpolation=how)


def mask_background(image: np.ndarray) -> np.ndarray:
    """Blackens what is outside of an upright oval in the middle of a crop, where the face is.

    Args:
      image: uint8 [s, s, c], a crop by `face_square`'s box.

    Returns:
      uint8 [s, s, c]; the oval is OVAL of the side wide and high.
    """
    side = image.shape[0]
    place = (np.arange(side) + 0.5) / side * 2 - 1
    width, height = OVAL
    inside = (place / width) ** 2 + (place[:, None] / height) ** 2 <= 1
    return image * inside[..., None].astype(np.uint8)


def _haar(model_path: str | None) -> Detector:
    _takes_no_model("haar", model_path)
    name = "haarcascade_frontalface_alt2.xml"
    cascade = cv2.CascadeClassifier(os.path.join(cv2.data.haarcascades, name))

    def detect(image: np.ndarray) -> np.ndarray:
        for side, step in _PASSES:
            small, scale = _shrunk(image, side)
            # The cascade compares gray levels of neighboring areas, and on dark skin before a
            # bright wall they differ by a few of 255: of real faces made that flat it finds none
            # without equalizing, all with it. Equalising the whole image did better than CLAHE,
            # which brings out texture: of faces that fill a small image, 99% against 77%.
            gray = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
            smallest = min(gray.shape) // 8
            found = cascade.detectMultiScale(
                gray, scaleFactor=step, minNeighbors=4, minSize=(smallest, smallest)
            )
            if len(found):
                return np.asarray(found, np.float64) / scale
        return np.zeros((0, 4))

    return detect


def _yunet(model_path: str | None) -> Detector:
    known = ", ".join(DETECTORS)
    if not model_path or not os.path.isfile(model_path):
        raise errors.UserError(
            "the face detector 'yunet' needs its model file (.onnx, from OpenCV's model zoo), found"
            f" {model_path!r}: give the file's path, or another detector (known: {known})"
        )
    try:
        network = cv2.FaceDetectorYN.create(os.fspath(model_path), "", (320, 320), 0.7)
    except cv2.error as error:
        raise errors.UserError(
            f"OpenCV {cv2.__version__} cannot load {model_path} as a YuNet model:"
            f" {' '.join(str(error.err).split())}"
        ) from None

    def detect(image: np.ndarray) -> np.ndarray:
        small, scale = _shrunk(image, 320)
        network.setInputSize(small.shape[1::-1])
        found = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
        if found is None:
            return np.zeros((0, 4))
        return found[:, :4].astype(np.float64) / scale

    return detect


def _none(model_path: str | None) -> Detector:
    _takes_no_model("none", model_path)
    return lambda image: np.zeros((0, 4))


def _takes_no_model(name: str, model_path: str | None) -> None:
    if model_path:
        raise errors.UserError(
            f"the face detector {name!r} takes no model file, found {model_path!r}: leave it out,"
            " or choose 'yunet'"
        )


def _shrunk(image: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    scale = min(1.0, side / max(image.shape[:2]))
    if scale == 1:
        return image, scale
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale


# How detectors are called in configs.
DETECTORS: dict[str, Callable[[str | None], Detector]] = {
    "haar": _haar,
    "yunet": _yunet,
    "none": _none,
}
