"""Command-line arguments that several subcommands share."""

import argparse


def add_face_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the face detection: --detector, --detector_model and --face_margin."""
    command.add_argument(
        "--detector",
        default="haar",
        help="face detector: haar, yunet or none (default: %(default)s)",
    )
    command.add_argument("--detector_model", help="path of the model file of the detector yunet")
    command.add_argument(
        "--face_margin",
        type=float,
        default=0.15,
        help="margin around the face as a fraction of its width (default: %(default)s)",
    )
