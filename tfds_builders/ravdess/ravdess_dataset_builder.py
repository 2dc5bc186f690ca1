"""TFDS builder of RAVDESS. With mmer_jax installed, `tfds build` works in this folder."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from mmer_jax.corpora import download, recordings
from tfds_builders.clip_builder import ClipBuilder, ClipConfig

HERE = Path(__file__).parent


@dataclasses.dataclass(eq=False)
class RavdessConfig(ClipConfig):
    """Builder config; see ClipConfig.

    Attributes:
      base_url: URL that archives are downloaded from; does not change the data.
    """

    DATASETS: ClassVar[dict] = {"ravdess": ""}

    base_url: str = download.ZENODO


class Builder(ClipBuilder):
    """Builder of RAVDESS, described in README.md beside this file."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict] = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar[list] = [RavdessConfig(name=name) for name in RavdessConfig.names()]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"{recordings.HOW_TO_GET}. Without a manual folder the archives are downloaded."
    )
    ARCHIVES = HERE / "archives.json"

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=self._features(),
            homepage="https://zenodo.org/records/1188976",
            license="CC BY-NC-SA 4.0",
            metadata=tfds.core.MetadataDict(),
        )

    def _recordings(self, dl_manager) -> Path:
        folder = Path(dl_manager.download_dir) / "ravdess"
        prefix = "Video_" if "audio_video" in self.builder_config.kind.channels[0] else "Audio_"
        archives = [a for a in download.read_archives(self.ARCHIVES) if a.name.startswith(prefix)]
        download.fetch(archives, folder, self.builder_config.base_url)
        return folder
