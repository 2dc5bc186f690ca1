"""Computes the examples of one recording.

Worker processes run this module, which therefore does not import TensorFlow.

An example is a dict, feature name -> value. Every example has the metadata of its clip: the str
`label` (emotion), `clip`, `subject`, `gender`, `intensity`, and the int `statement` and
`repetition` (see Recording.facts); and the float `duration` in seconds and the str `content_id` (a
digest of the samples) of its audio track. In addition

    triplets, frames  `view` (int, number of the example in its clip), `frame_index` (int, from 0),
                      `frame_time` (float, seconds), `face_box` (float32 [4]: left, top, right,
                      bottom in source pixels), `face_found` (bool), and the images `face` and
                      `flow`
    triplets          also `audio_variant` (str) and the image `mel`
    speech            `samples` (int16 [n]) and `sample_rate` (int, Hz)

Images are encoded as PNG files (bytes) of uint8 [SIZE, SIZE, channels], RGB or grayscale, so that
compression is spread over the workers too.
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
from mmer_jax.utils import files

SIZE = 224  # side of stored images in pixels
TRIPLET_VARIANTS = tuple(augment.AUDIO_VARIANTS)[:3]  # audio variants of views 0, 1 and 2
SPEECH_VARIANTS = tuple(augment.AUDIO_VARIANTS)  # audio variants of a clip stored as `speech`
TRIPLET_AUDIO_MODALITIES = ("mel",)  # audio modalities that triplets contain
FACE_FRAMES = 5  # number of frames of a clip in which the face is detected


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of the examples, which are fixed when a dataset is built.

    Attributes:
      detector: Name of the face detector, see media.faces.DETECTORS.
      detector_model: Path of the detector's model file, for detectors that need one.
      face_margin: Margin added on each side of the face, as a fraction of its width.
      flow_scale: Speed in pixels per frame that is shown at full brightness; None for the largest
        speed in each image.
      frame_choice: How the three frames of a clip are chosen, see media.frame_choice.CHOICES.
      frame_scores: Path of a CSV file with a score for every frame (see frame_lists.read_scores),
        if `frame_choice` needs one.
      noise_snr_db: Signal-to-noise ratio of the noisy audio in dB.
      pitch_semitones: Pitch shift of the pitch-shifted audio in semitones.
      shift_seconds: Time shift of the time-shifted audio in seconds.
      stretch_factor: Tempo of the time-stretched audio relative to the original.
      video_only: Whether the video-only recordings are used too; their audio is silence.
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
        """Checks that clips can be processed with these options.

        Raises:
          UserError: The detector or the frame choice is unknown, a number is out of range, or a
            file is missing, damaged or not needed.
        """
        _get_detector(self.detector, self.detector_model)
        if self.frame_choice not in frame_choice.CHOICES:
            raise errors.unknown("choice of frames", self.frame_choice, frame_choice.CHOICES)
        needs_scores = self.frame_choice in frame_choice.NEEDS_SCORES
        if needs_scores != bool(self.frame_scores):
            raise errors.UserError(
                f"frame_choice {self.frame_choice!r} "
                + (
                    "needs frame_scores (--config.data.build.frame_scores=FILE): a CSV file with a "
                    "score for every frame (see docs/frame_selection.md)"
                    if needs_scores
                    else f"takes no frame_scores, found {self.frame_scores!r}: leave it out, or "
                    f"choose {' or '.join(map(repr, frame_choice.NEEDS_SCORES))}"
                )
            )
        if needs_scores:
            frame_lists.load_scores(self.frame_scores)
        if self.flow_scale is not None and not self.flow_scale > 0:
            raise errors.UserError(f"flow_scale must be above 0 pixels, found {self.flow_scale}")
        if not self.face_margin >= 0:
            raise errors.UserError(f"face_margin must not be negative, found {self.face_margin}")

    def check_clips(self, names: Collection[str]) -> None:
        """Checks that the frame scores, if any, list only clips of the build.

        Args:
          names: Names of all clips of the build.

        Raises:
          UserError: The scores list another clip.
        """
        if self.frame_scores:
            frame_lists.check_clips(frame_lists.load_scores(self.frame_scores), names)

    def record(self) -> dict:
        """Returns the options in the form that is stored with results.

        Returns:
          Name of the option -> value. Integers are converted to float, and the path of a file is
          replaced by the first 16 hex digits of the SHA-256 of its content.

        Raises:
          UserError: A file that an option names does not exist.
        """
        options = dataclasses.asdict(self)
        options = {name: float(v) if type(v) is int else v for name, v in options.items()}
        for name in _FILE_OPTIONS:
            if options[name]:
                path = Path(options[name]).expanduser()
                if not path.is_file():
                    raise errors.UserError(
                        f"the {name.replace('_', ' ')} file {options[name]} does not exist"
                    )
                options[name] = files.digest(path)[:16]
        return options


_FILE_OPTIONS = ("detector_model", "frame_scores")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The examples of one recording, or the reason why there are none.

    Attributes:
      name: Name of the recording.
      examples: Examples as described above; empty if the recording cannot be used.
      problem: The reason why the recording cannot be used; None if it can.
    """

    name: str
    examples: list[dict]
    problem: errors.ClipError | None = None


def process_recording(recording: Recording, kind: str, options: Options) -> Outcome:
    """Computes the examples of one recording; a ClipError becomes the problem of the outcome.

    Args:
      recording: The recording.
      kind: Kind of the examples, a key of KINDS.
      options: Options of the examples.

    Raises:
      Exception: Any error that is not a ClipError, with a note that names the recording.
    """
    try:
        return Outcome(recording.name, KINDS[kind].make_examples(recording, options))
    except errors.ClipError as problem:
        return Outcome(recording.name, [], problem)
    except Exception as e:
        e.add_note(f"while processing {recording.name} ({recording.path})")
        raise


def make_triplets(recording: Recording, options: Options) -> list[dict]:
    """Computes the three triplets of a recording.

    Example i of a clip has the i-th selected frame, the optical flow into this frame, and a mel
    spectrogram of the audio variant TRIPLET_VARIANTS[i].

    Args:
      recording: A video. Unless it is of the channel "video_only", it must have an audio track.
      options: Options of the examples.

    Returns:
      Three examples in the order of the frames, with the features of `triplets` (see the module
      docstring).

    Raises:
      ClipError: "bad name", "no label", "empty file", "not a video", "no video stream",
        "truncated", "too short", "no audio", "silent audio" or "no scores".
      UserError: The file cannot be read, or the frame scores list a frame that the clip lacks.
    """
    metadata = _clip_metadata(recording)
    source = recording.source()
    needs_audio = recording.facts()["channel"] != "video_only"
    track = _read_audio_track(source, recording.name, needs_audio)

    def list_frames(count: int) -> list[int]:
        chosen = _choose_frames(recording.name, count, options)
        return [*chosen, *(i - 1 for i in chosen), *_face_frame_indices(count)]

    decoded = video.read_frames(source, list_frames)
    chosen = _choose_frames(recording.name, decoded.count, options)
    square = _find_face([decoded.images[i] for i in _face_frame_indices(decoded.count)], options)
    amounts = augment.AudioAmounts(
        noise_snr_db=options.noise_snr_db, pitch_semitones=options.pitch_semitones
    )
    audio_images = compute_audio_images(
        recording.name,
        track.samples,
        track.rate,
        TRIPLET_VARIANTS,
        amounts,
        TRIPLET_AUDIO_MODALITIES,
    )
    examples = []
    for view, (index, variant, images) in enumerate(
        zip(chosen, TRIPLET_VARIANTS, audio_images, strict=True)
    ):
        previous, face = (
            faces.crop(decoded.images[i], square.box, SIZE) for i in (index - 1, index)
        )
        examples.append(
            metadata
            | _frame_metadata(view, index, decoded.times[index], square, track)
            | {"audio_variant": variant}
            | {"face": _encode_png(face), "flow": _encode_png(_flow(previous, face, options))}
            | {name: _encode_png(image) for name, image in images.items()}
        )
    return examples


def make_frames(recording: Recording, options: Options) -> list[dict]:
    """Computes one example for every frame of a recording except the first.

    An example has the crop around the face and the optical flow from the previous frame. The first
    frame has no previous frame and is therefore left out.

    Args:
      recording: A video. Its audio track, if any, is only read for `duration` and `content_id`.
      options: Options of the examples.

    Returns:
      One example per frame from frame 1, in the order of the frames, with the features of `frames`
      (see the module docstring); `view` is `frame_index` - 1.

    Raises:
      ClipError: "bad name", "no label", "empty file", "not a video", "no video stream",
        "truncated", or "too short" for a video of fewer than two frames.
      UserError: The file cannot be read.
    """
    metadata = _clip_metadata(recording)
    source = recording.source()
    track = _read_audio_track(source, recording.name, required=False)
    square, crops = read_face_frames(source, options)
    examples = []
    previous = None
    for index, time, face in crops:
        if previous is not None:
            examples.append(
                metadata
                | _frame_metadata(index - 1, index, time, square, track)
                | {"face": _encode_png(face), "flow": _encode_png(_flow(previous, face, options))}
            )
        previous = face
    return examples


def read_face_frames(
    source: str | bytes, options: Options, size: int = SIZE
) -> tuple[faces.FaceBox, Iterator[tuple[int, float, np.ndarray]]]:
    """Reads every frame of a clip, cropped to the face.

    Args:
      source: Path of the recording, or the content of its file (see Recording.source).
      options: Of these, `detector`, `detector_model` and `face_margin` are used.
      size: Side of the returned images in pixels.

    Returns:
      The square around the face, and an iterator over (frame index from 0, time in seconds,
      image uint8 [size, size, 3] RGB).

    Raises:
      ClipError: "empty file", "not a video", "no video stream", "truncated" or "too short". The
        iterator can raise "truncated" after the last good frame.
    """
    sampled = video.read_frames(source, _face_frame_indices)
    if sampled.count < 2:
        raise errors.ClipError("too short", f"flow needs two frames, found {sampled.count}")
    square = _find_face(list(sampled.images.values()), options)
    return square, (
        (index, time, faces.crop(image, square.box, size))
        for index, time, image in video.iter_frames(source)
    )


def make_speech(recording: Recording, options: Options) -> list[dict]:
    """Computes the only example of a recording's audio: the waveform at its own sampling rate.

    Args:
      recording: An audio file, or a video with an audio track.
      options: Not used; these examples have no options.

    Returns:
      One example with the features of `speech` (see the module docstring).

    Raises:
      ClipError: "bad name", "no label", "empty file", "not a video", "truncated", "no audio" or
        "silent audio".
      UserError: The file cannot be read.
    """
    metadata = _clip_metadata(recording)
    track = _read_audio_track(recording.source(), recording.name, required=True)
    return [
        metadata
        | {
            "samples": track.samples,
            "sample_rate": track.rate,
            "duration": track.duration,
            "content_id": track.content_id,
        }
    ]


def compute_audio_images(
    name: str,
    samples: np.ndarray,
    rate: int,
    variants: Sequence[str],
    amounts: augment.AudioAmounts,
    modalities: Sequence[str],
) -> list[dict[str, np.ndarray]]:
    """Computes images of the audio variants of a clip.

    Args:
      name: Name of the clip, which seeds the noise.
      samples: Waveform, int16 [n], mono.
      rate: Sampling rate in Hz.
      variants: Names of audio variants, keys of media.augment.AUDIO_VARIANTS.
      amounts: Strengths of the augmentations.
      modalities: Names of audio modalities, keys of media.representations.IMAGES.

    Returns:
      One dict per variant, in the order of `variants`: modality -> uint8 [SIZE, SIZE, channels].
    """
    compiled.compile_librosa()
    waveform = resample(samples, rate)
    images = []
    for variant in variants:
        rng = make_variant_rng(name, variant)
        altered = augment.apply_variant(waveform, spectrogram.RATE, variant, amounts, rng)
        images.append(
            {m: representations.IMAGES[m](altered, spectrogram.RATE, SIZE) for m in modalities}
        )
    return images


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Resamples a waveform to spectrogram.RATE (22050 Hz).

    Args:
      samples: Waveform, int16 [n].
      rate: Sampling rate of `samples` in Hz.

    Returns:
      Waveform, float32 [m] with m about n * spectrogram.RATE / rate, full scale at -1..1.
    """
    waveform = samples.astype(np.float32) / 32768
    if rate == spectrogram.RATE:
        return waveform
    return soxr.resample(waveform, rate, spectrogram.RATE, quality="HQ")


@dataclasses.dataclass(frozen=True)
class Audio:
    """Waveform of a clip as the builder config `speech` stores it.

    Attributes:
      name: Name of the clip.
      samples: Waveform, int16 [n].
      rate: Sampling rate in Hz.
    """

    name: str
    samples: np.ndarray
    rate: int

    def __str__(self) -> str:
        return self.name


def compute_audio_views(
    audio: Audio, amounts: augment.AudioAmounts, modalities: Sequence[str]
) -> tuple[str, list[dict[str, np.ndarray]]]:
    """Computes the images of all audio variants of a clip, for a parallel map over clips.

    Args:
      audio: The clip.
      amounts: Strengths of the augmentations.
      modalities: Names of audio modalities, keys of media.representations.IMAGES.

    Returns:
      The name of the clip, and the result of `compute_audio_images` for SPEECH_VARIANTS: per
      variant a dict, modality -> uint8 [SIZE, SIZE, channels].
    """
    return audio.name, compute_audio_images(
        audio.name, audio.samples, audio.rate, SPEECH_VARIANTS, amounts, modalities
    )


def make_variant_rng(name: str, variant: str) -> np.random.Generator:
    """Returns the random generator for one audio variant of the clip `name`."""
    return make_rng(name, f"sound {variant}")  # changing the text would change every built dataset


def make_rng(name: str, purpose: str) -> np.random.Generator:
    """Returns a random generator that depends only on the name of a clip and on a purpose."""
    digest = hashlib.sha256(f"{name} {purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of example, which is also the name of a builder config.

    Attributes:
      make_examples: Function of a recording and options that returns examples, or raises a
        ClipError if the recording cannot be used.
      title: Description of the examples.
      modalities: Names of the modalities that can be derived from an example.
      options: Names of the options that affect the examples.
      pack_options: Names of the options that apply when a pack is made from the built dataset.
      channels: Sets of channels in order of preference (see `choices`).
    """

    make_examples: Callable[[Recording, Options], list[dict]]
    title: str
    modalities: tuple[str, ...]
    options: tuple[str, ...]
    pack_options: tuple[str, ...]
    channels: tuple[tuple[str, ...], ...]

    def choices(self, options: Options) -> list[tuple[str, ...]]:
        """Returns the sets of channels, in order of preference, for recordings.select.

        The option `video_only` adds the channel "video_only" to each set.
        """
        more = ("video_only",) if options.video_only else ()
        return [channels + more for channels in self.channels]


_IMAGE_OPTIONS = ("detector", "detector_model", "face_margin", "flow_scale", "video_only")
_AUDIO_OPTIONS = ("noise_snr_db", "pitch_semitones")

KINDS = {
    "triplets": Kind(
        make_triplets,
        "three triplets a clip of face, optical flow into it, and log-mel spectrogram",
        ("face", "flow", *TRIPLET_AUDIO_MODALITIES),
        (*_IMAGE_OPTIONS, "frame_choice", "frame_scores", *_AUDIO_OPTIONS),
        (),
        (("audio_video",),),
    ),
    "frames": Kind(
        make_frames,
        "the face in every frame but the first, and the optical flow into it",
        ("face", "flow"),
        _IMAGE_OPTIONS,
        (),
        (("audio_video",),),
    ),
    "speech": Kind(
        make_speech,
        "the audio of every clip, int16 samples at the recording's own rate",
        tuple(representations.IMAGES),
        (),
        (*_AUDIO_OPTIONS, "shift_seconds", "stretch_factor"),
        # The audio of the videos is the same recording, delayed by 1600 samples and AAC-coded.
        (("audio_only",), ("audio_video",)),
    ),
}


@dataclasses.dataclass(frozen=True)
class _AudioTrack:
    samples: np.ndarray  # int16 [n]
    rate: int  # Hz
    duration: float  # seconds
    content_id: str


def _read_audio_track(source: str | bytes, name: str, required: bool) -> _AudioTrack:
    """Reads the audio track of the clip `name`; without `required`, a missing one becomes silence.

    Raises:
      ClipError: "empty file", "not a video" or "truncated"; with `required` also "no audio" or
        "silent audio".
    """
    try:
        waveform, rate = audio.read_audio(source, None)
    except errors.ClipError as problem:
        if required or problem.kind != "no audio":
            raise
        waveform, rate = np.zeros(0, np.float32), spectrogram.RATE
    samples = np.clip(np.rint(waveform * 32768), -32768, 32767).astype(np.int16)
    if not audio.is_silent(waveform):
        content_id = hashlib.sha256(samples.tobytes()).hexdigest()[:16]
    elif required:
        raise errors.ClipError("silent audio", f"{len(waveform)} samples, all zero")
    else:
        # All silent tracks of one length have the same samples, but are different takes.
        content_id = f"silent {name}"
    return _AudioTrack(samples, rate, len(samples) / rate, content_id)


def _clip_metadata(recording: Recording) -> dict:
    return {name: value for name, value in recording.facts().items() if name != "channel"}


def _frame_metadata(
    view: int, index: int, time: float, square: faces.FaceBox, track: _AudioTrack
) -> dict:
    return {
        "view": view,
        "frame_index": index,
        "frame_time": time,
        "face_box": np.asarray(square.box, np.float32),
        "face_found": square.found,
        "duration": track.duration,
        "content_id": track.content_id,
    }


def _choose_frames(name: str, count: int, options: Options) -> list[int]:
    """Returns the indices of the three frames that become triplets.

    Args:
      name: Name of the clip, which seeds a random choice.
      count: Number of frames of the clip.
      options: Of these, `frame_choice` and `frame_scores` are used.
    """
    scores = None
    if options.frame_scores:
        score_list = frame_lists.load_scores(options.frame_scores)
        if name not in score_list.scores:
            raise errors.ClipError("no scores", f"{score_list.path.name} does not list the clip")
        frame_lists.check_frames(score_list, name, count)
        scores = score_list.scores[name]
    rng = make_rng(name, "frames")
    n = len(TRIPLET_VARIANTS)
    return frame_choice.choose_frames(count, n, options.frame_choice, rng, scores)


def _face_frame_indices(count: int) -> list[int]:
    """Returns the indices of the middle frames of FACE_FRAMES equal sections of `count` frames."""
    return sorted({(2 * i + 1) * count // (2 * FACE_FRAMES) for i in range(FACE_FRAMES)})


def _find_face(images: list[np.ndarray], options: Options) -> faces.FaceBox:
    detector = _get_detector(options.detector, options.detector_model)
    return faces.face_square(images, detector, options.face_margin)


def _get_detector(name: str, model_path: str | None) -> faces.Detector:
    return _make_detector(threading.get_ident(), name, model_path)


@functools.lru_cache(maxsize=16)
def _make_detector(thread: int, name: str, model_path: str | None) -> faces.Detector:
    """Makes a face detector, and caches it per thread.

    OpenCV's detectors are not thread-safe, and Beam's workers have several threads.
    """
    del thread
    return faces.make_detector(name, model_path)


def _flow(previous: np.ndarray, face: np.ndarray, options: Options) -> np.ndarray:
    return flow.flow_image(flow.dense_flow(previous, face), options.flow_scale)


def _encode_png(image: np.ndarray) -> bytes:
    """Encodes uint8 [h, w, 3] RGB or [h, w, 1] as a PNG file."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.shape[-1] == 3 else image
    success, encoded = cv2.imencode(".png", bgr)
    if not success:
        raise ValueError(f"cannot encode {image.dtype} {image.shape} as PNG")
    return encoded.tobytes()
