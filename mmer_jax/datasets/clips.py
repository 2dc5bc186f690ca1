"""From one recording to its examples.

This is what worker processes run: no TensorFlow here. An example is a dict, feature name -> value.
Images in it are PNG files (bytes), so that compressing is spread over the workers too.
"""

import dataclasses
import functools
import hashlib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import soxr

from mmer_jax import errors
from mmer_jax.corpora.recordings import Recording
from mmer_jax.datasets import frame_lists
from mmer_jax.media import (
    audio,
    augment,
    compiled,
    faces,
    flow,
    frame_choice,
    representations,
    spectrogram,
    video,
)

SIZE = 224  # side of stored images
VIEWS = tuple(augment.AUDIO_VARIANTS)[:3]  # the audio that goes with view 0, 1 and 2
AUDIO_VIEWS = tuple(augment.AUDIO_VARIANTS)  # of a clip whose audio alone is stored
TRIPLET_AUDIOS = ("mel",)  # the images of a waveform that triplets hold
FACE_FRAMES = 5  # frames in which the face is looked for


@dataclasses.dataclass(frozen=True)
class Options:
    """What is chosen when a data set is built.

    Attributes:
      detector: name of the face detector, see media.faces.DETECTORS.
      detector_model: the detector's model file, where it needs one.
      face_margin: added on each side of the face, as a part of its width.
      flow_scale: speed in pixels a frame of the brightest flow; None: the fastest in each image.
      frame_choice: how a clip's three frames are chosen, see media.frame_choice.CHOICES.
      frame_scores: CSV file with a score for every frame, where the choice needs one.
      noise_snr_db: of the noisy audio.
      pitch_semitones: of the audio with shifted pitch.
      shift_seconds: of the audio that is moved in time.
      stretch_factor: tempo of the audio that is stretched in time.
      video_only: also use the video-only recordings; their audio is silence.
    """

    detector: str = "haar"
    detector_model: str | None = None
    face_margin: float = faces.MARGIN
    flow_scale: float | None = None
    frame_choice: str = "random"
    frame_scores: str | None = None
    noise_snr_db: float = augment.AudioAmounts.noise_snr_db
    pitch_semitones: float = augment.AudioAmounts.pitch_semitones
    shift_seconds: float = augment.AudioAmounts.shift_seconds
    stretch_factor: float = augment.AudioAmounts.stretch_factor
    video_only: bool = False

    def check(self) -> None:
        """Raises a UserError for an option that no clip could be worked on with."""
        _detector(self.detector, self.detector_model)
        if self.frame_choice not in frame_choice.CHOICES:
            raise errors.unknown("choice of frames", self.frame_choice, frame_choice.CHOICES)
        needed = self.frame_choice in frame_choice.NEEDS_SCORES
        if needed != bool(self.frame_scores):
            raise errors.UserError(
                f"frame_choice {self.frame_choice!r} "
                + (
                    "needs frame_scores (--config.data.build.frame_scores=FILE): a CSV file with a "
                    "score for every frame (see docs/frame_selection.md)"
                    if needed
                    else f"takes no frame_scores, found {self.frame_scores!r}: leave it out, or "
                    f"choose {' or '.join(map(repr, frame_choice.NEEDS_SCORES))}"
                )
            )
        if needed:
            frame_lists.scores_at_hand(self.frame_scores)
        if self.flow_scale is not None and not self.flow_scale > 0:
            raise errors.UserError(f"flow_scale must be above 0 pixels, found {self.flow_scale}")
        if not self.face_margin >= 0:
            raise errors.UserError(f"face_margin must not be negative, found {self.face_margin}")

    def check_clips(self, names: Collection[str]) -> None:
        """Raises a UserError if the scores name a clip that is not among those of the build."""
        if self.frame_scores:
            frame_lists.check_clips(frame_lists.scores_at_hand(self.frame_scores), names)

    def record(self) -> dict:
        """The options as records tell them: numbers as floats, files by their digests.

        Raises:
          UserError: there is no such file.
        """
        told = dataclasses.asdict(self)
        told = {name: float(v) if type(v) is int else v for name, v in told.items()}
        for name in _FILES:
            if told[name]:
                file = Path(told[name]).expanduser()
                if not file.is_file():
                    raise errors.UserError(f"there is no {name.replace('_', ' ')} {told[name]}")
                told[name] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        return told


_FILES = ("detector_model", "frame_scores")  # options that name one


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one recording: its examples, or the reason why there are none."""

    name: str
    examples: list[dict]
    problem: errors.ClipError | None = None


def work(recording: Recording, kind: str, options: Options) -> Outcome:
    """Makes the examples of one recording for one of KINDS."""
    try:
        return Outcome(recording.name, KINDS[kind].make(recording, options))
    except errors.ClipError as problem:
        return Outcome(recording.name, [], problem)
    except Exception as e:
        e.add_note(f"while working on {recording.name} ({recording.path})")
        raise


def triplets(recording: Recording, options: Options) -> list[dict]:
    """Three examples: three frames, the flow into each, and three versions of the audio."""
    facts = _facts(recording)
    source = recording.source()
    heard = _hear(source, recording.name, needed=_channel(recording) != "video_only")

    def wanted(count: int) -> list[int]:
        chosen = _chosen(recording.name, count, options)
        return [*chosen, *(i - 1 for i in chosen), *_spread(count)]

    seen = video.read_frames(source, wanted)
    chosen = _chosen(recording.name, seen.count, options)
    square = _square([seen.images[i] for i in _spread(seen.count)], options)
    amounts = augment.AudioAmounts(
        noise_snr_db=options.noise_snr_db, pitch_semitones=options.pitch_semitones
    )
    waveforms = audio_images(
        recording.name, heard.samples, heard.rate, VIEWS, amounts, TRIPLET_AUDIOS
    )
    examples = []
    for view, (index, variant, images) in enumerate(zip(chosen, VIEWS, waveforms, strict=True)):
        before, face = (faces.crop(seen.images[i], square.box, SIZE) for i in (index - 1, index))
        examples.append(
            facts
            | _image_facts(view, index, seen.times[index], square, heard)
            | {"audio_variant": variant}
            | {"face": _png(face), "flow": _png(_flow(before, face, options))}
            | {name: _png(image) for name, image in images.items()}
        )
    return examples


def frames(recording: Recording, options: Options) -> list[dict]:
    """An example for every frame but the first: the face and the flow into it."""
    facts = _facts(recording)
    source = recording.source()
    heard = _hear(source, recording.name, needed=False)
    square, crops = face_frames(source, options)
    examples = []
    before = None
    for index, time, face in crops:
        if before is not None:
            examples.append(
                facts
                | _image_facts(index - 1, index, time, square, heard)
                | {"face": _png(face), "flow": _png(_flow(before, face, options))}
            )
        before = face
    return examples


def face_frames(
    source: str | bytes, options: Options, size: int = SIZE
) -> tuple[faces.FaceBox, Iterator[tuple[int, float, np.ndarray]]]:
    """Every frame of a clip, cut to the face.

    Args:
      source: what media readers take.
      options: how the face is found.
      size: side of the images.

    Returns:
      the square, and (frame number from 0, seconds, uint8 [size, size, 3]) one after the other.

    Raises:
      ClipError: the recording cannot be used; also while frames are read.
    """
    sampled = video.read_frames(source, _spread)
    if sampled.count < 2:
        raise errors.ClipError("too short", f"flow needs two frames, found {sampled.count}")
    square = _square(list(sampled.images.values()), options)
    return square, (
        (index, time, faces.crop(image, square.box, size))
        for index, time, image in video.iter_frames(source)
    )


def speech(recording: Recording, options: Options) -> list[dict]:
    """One example: the audio itself, at its own rate."""
    facts = _facts(recording)
    heard = _hear(recording.source(), recording.name, needed=True)
    return [
        facts
        | {
            "samples": heard.samples,
            "sample_rate": heard.rate,
            "duration": heard.duration,
            "content_id": heard.content_id,
        }
    ]


def audio_images(
    name: str,
    samples: np.ndarray,
    rate: int,
    variants: Sequence[str],
    amounts: augment.AudioAmounts,
    modalities: Sequence[str],
) -> list[dict[str, np.ndarray]]:
    """The images of some versions of a clip's audio.

    Args:
      name: the clip's name: the noise follows from it.
      samples: int16 [n], mono.
      rate: samples a second.
      variants: of media.augment.AUDIO_VARIANTS.
      amounts: how strong they are.
      modalities: the images wanted, of media.representations.IMAGES.

    Returns:
      for each variant, modality -> uint8 [SIZE, SIZE, channels].
    """
    compiled.compile_librosa()
    heard = at_spectrogram_rate(samples, rate)
    images = []
    for variant in variants:
        rng = random_of(name, f"sound {variant}")
        varied = augment.vary(heard, spectrogram.RATE, variant, amounts, rng)
        images.append(
            {m: representations.IMAGES[m](varied, spectrogram.RATE, SIZE) for m in modalities}
        )
    return images


def at_spectrogram_rate(samples: np.ndarray, rate: int) -> np.ndarray:
    """int16 [n] at a rate of its own -> float32 [m] in -1..1 at spectrogram.RATE."""
    heard = samples.astype(np.float32) / 32768
    if rate == spectrogram.RATE:
        return heard
    return soxr.resample(heard, rate, spectrogram.RATE, quality="HQ")


@dataclasses.dataclass(frozen=True)
class Audio:
    """A clip's name and its audio as the builder config `speech` stores it: int16 [n] at `rate`."""

    name: str
    samples: np.ndarray
    rate: int

    def __str__(self) -> str:
        return self.name


def views_of_audio(
    heard: Audio, amounts: augment.AudioAmounts, modalities: Sequence[str]
) -> tuple[str, list[dict[str, np.ndarray]]]:
    """The clip's name and audio_images for AUDIO_VIEWS: a worker's task."""
    return heard.name, audio_images(
        heard.name, heard.samples, heard.rate, AUDIO_VIEWS, amounts, modalities
    )


def random_of(name: str, purpose: str) -> np.random.Generator:
    """Random numbers that depend on the clip and on what they are for, and on nothing else."""
    digest = hashlib.sha256(f"{name} {purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


@dataclasses.dataclass(frozen=True)
class Kind:
    """A builder config.

    Attributes:
      make: a recording and options -> examples, or a ClipError.
      title: what an example is.
      gives: the modalities that can be had from it.
      options: the names of the options that it heeds.
      packed: the names of the options that come into play when a pack is made from it.
      channels: sets of channels to read, the first that there is something of; `video_only` is
        added to each if that option is set.
    """

    make: Callable[[Recording, Options], list[dict]]
    title: str
    gives: tuple[str, ...]
    options: tuple[str, ...]
    packed: tuple[str, ...]
    channels: tuple[tuple[str, ...], ...]

    def choices(self, options: Options) -> list[tuple[str, ...]]:
        """What recordings.select takes."""
        more = ("video_only",) if options.video_only else ()
        return [channels + more for channels in self.channels]


_IMAGE_OPTIONS = ("detector", "detector_model", "face_margin", "flow_scale", "video_only")
_AUDIO_OPTIONS = ("noise_snr_db", "pitch_semitones")

KINDS = {
    "triplets": Kind(
        triplets,
        "three triplets a clip of face, optical flow into it, and log-mel spectrogram",
        ("face", "flow", *TRIPLET_AUDIOS),
        (*_IMAGE_OPTIONS, "frame_choice", "frame_scores", *_AUDIO_OPTIONS),
        (),
        (("audio_video",),),
    ),
    "frames": Kind(
        frames,
        "the face in every frame but the first, and the optical flow into it",
        ("face", "flow"),
        _IMAGE_OPTIONS,
        (),
        (("audio_video",),),
    ),
    "speech": Kind(
        speech,
        "the audio of every clip, int16 samples at the recording's own rate",
        tuple(representations.IMAGES),
        (),
        (*_AUDIO_OPTIONS, "shift_seconds", "stretch_factor"),
        # The audio of the videos is the same recording, 1600 samples later and through AAC.
        (("audio_only",), ("audio_video",)),
    ),
}


@dataclasses.dataclass(frozen=True)
class _Heard:
    samples: np.ndarray  # int16 [n]
    rate: int
    duration: float  # seconds
    content_id: str


def _hear(source: str | bytes, name: str, needed: bool) -> _Heard:
    try:
        samples, rate = audio.read_audio(source, None)
    except errors.ClipError as problem:
        if needed or problem.kind != "no audio":
            raise
        samples, rate = np.zeros(0, np.float32), spectrogram.RATE
    whole = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
    if not audio.is_silent(samples):
        content_id = hashlib.sha256(whole.tobytes()).hexdigest()[:16]
    elif needed:
        raise errors.ClipError("silent audio", f"{len(samples)} samples, all zero")
    else:
        # All silent takes of one length have the same samples: that must not make them one take.
        content_id = f"silent {name}"
    return _Heard(whole, rate, len(whole) / rate, content_id)


def _facts(recording: Recording) -> dict:
    return {name: fact for name, fact in recording.facts().items() if name != "channel"}


def _image_facts(view: int, index: int, time: float, square: faces.FaceBox, heard: _Heard) -> dict:
    return {
        "view": view,
        "frame_index": index,
        "frame_time": time,
        "face_box": np.asarray(square.box, np.float32),
        "face_found": square.found,
        "duration": heard.duration,
        "content_id": heard.content_id,
    }


def _channel(recording: Recording) -> str:
    return recording.facts()["channel"]


def _chosen(name: str, count: int, options: Options) -> list[int]:
    scores = None
    if options.frame_scores:
        listed = frame_lists.scores_at_hand(options.frame_scores)
        if name not in listed.scores:
            raise errors.ClipError("no scores", f"{listed.path.name} does not have the clip")
        frame_lists.check_frames(listed, name, count)
        scores = listed.scores[name]
    rng = random_of(name, "frames")
    return frame_choice.choose_frames(count, len(VIEWS), options.frame_choice, rng, scores)


def _spread(count: int) -> list[int]:
    """Frames in the middle of equal parts of the clip."""
    return sorted({(2 * i + 1) * count // (2 * FACE_FRAMES) for i in range(FACE_FRAMES)})


def _square(images: list[np.ndarray], options: Options) -> faces.FaceBox:
    detector = _detector(options.detector, options.detector_model)
    return faces.face_square(images, detector, options.face_margin)


def _detector(name: str, model_path: str | None) -> faces.Detector:
    return _detector_of(threading.get_ident(), name, model_path)


@functools.lru_cache(maxsize=16)
def _detector_of(thread: int, name: str, model_path: str | None) -> faces.Detector:
    """OpenCV's detectors are for one thread each, and Beam's workers have several."""
    del thread
    return faces.make_detector(name, model_path)


def _flow(before: np.ndarray, face: np.ndarray, options: Options) -> np.ndarray:
    return flow.flow_image(flow.dense_flow(before, face), options.flow_scale)


def _png(image: np.ndarray) -> bytes:
    """uint8 [h, w, 3] RGB or [h, w, 1] as a PNG file."""
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.shape[-1] == 3 else image
    done, encoded = cv2.imencode(".png", stored)
    if not done:
        raise ValueError(f"cannot encode {image.dtype} {image.shape} as PNG")
    return encoded.tobytes()
