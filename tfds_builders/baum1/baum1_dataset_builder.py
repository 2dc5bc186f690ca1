"""TFDS builder of BAUM-1. With mmer_jax installed, `tfds build` works in this folder."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from mmer_jax import errors
from mmer_jax.corpora import baum1, sets
from tfds_builders.clip_builder import ClipBuilder, ClipConfig


@dataclasses.dataclass(eq=False)
class Baum1Config(ClipConfig):
    """Builder config of one of the two subsets, acted and spontaneous; see ClipConfig."""

    DATASETS: ClassVar[dict] = {f"baum1_{name}": f"{name}_" for name in baum1.SUBSETS}


class Builder(ClipBuilder):
    """Builder of BAUM-1, described in README.md beside this file."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict] = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar[list] = [Baum1Config(name=name) for name in Baum1Config.names()]
    MANUAL_DOWNLOAD_INSTRUCTIONS = baum1.SUBSETS["acted"].how_to_get

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=self._features(),
            homepage="https://doi.org/10.1109/TAFFC.2016.2553038",
            license="The end user license of BAUM-1, which forbids passing it on",
            metadata=tfds.core.MetadataDict(),
        )

    def _recordings(self, dl_manager) -> Path:
        how_to_get = sets.get(self.builder_config.dataset).how_to_get
        raise errors.UserError(f"a build of BAUM-1 needs a manual folder. {how_to_get}")
