"""The fields of every config, with the paper's values. The other files here override them.

A config is data. `rows` maps the name of a row to the fields that it overrides; `table_rows` are
those that the table has, and any other can be asked for by name: `--config=configs/FILE.py:ROW`.
"""

import ml_collections
from ml_collections.config_dict import placeholder

# Kinds of network. One input is figure 6, several are figure 8. Sections 6.2, 6.3 and 7.2.
# The paper gives no learning rate; docs/results.md says how these were chosen.
ONE_INPUT = {"dropout_features": 0.25, "dropout_output": 0.4, "hidden": (2048, 1024)}
FUSION = {"dropout_features": 0.5, "dropout_output": 0.4, "hidden": (2048, 1024)}
# Table 5 counts two dense layers for the spectrogram alone: one hidden, and the output.
AUDIO_ALONE = {**ONE_INPUT, "hidden": (2048,)}

ROWS = {
    "face": {"modalities": ("face",), "model": ONE_INPUT},
    "flow": {"modalities": ("flow",), "model": ONE_INPUT},
    "mel": {"modalities": ("mel",), "model": AUDIO_ALONE},
    "face_flow": {"modalities": ("face", "flow"), "model": FUSION},
    "face_mel": {"modalities": ("face", "mel"), "model": FUSION},
    "flow_mel": {"modalities": ("flow", "mel"), "model": FUSION},
    "face_flow_mel": {"modalities": ("face", "flow", "mel"), "model": FUSION},
}
# What the text speaks of without a table: figure 5's network (section 6.2), one spectrogram for
# every frame of a clip (7.3), and the background, which section 3 suspects, made black.
ASIDES = {
    "face_vgg16": {
        "modalities": ("face",),
        "model": {"name": "vgg16"},
        "optimizer": {"learning_rate": 1e-4},  # smaller, for a deeper network; not chosen by trial
    },
    "face_mel_one_spectrogram": {**ROWS["face_mel"], "data": {"one_spectrogram": True}},
    "face_masked": {**ROWS["face"], "data": {"mask_background": True}},
    "face_mel_masked": {**ROWS["face_mel"], "data": {"mask_background": True}},
    # Not the paper's: what helps where an input is missing (docs/robustness.md).
    "face_mel_modality_dropout": {**ROWS["face_mel"], "augment": {"modality_dropout": 0.3}},
}


def get_config() -> ml_collections.ConfigDict:
    """The fields, with the paper's values."""
    config = ml_collections.ConfigDict()

    # What is run: rows x protocols x folds x seeds. Only these may differ within a workdir.
    config.table = ""  # key of the paper's table, for records
    config.row = ""  # comma-separated names; empty: table_rows
    config.rows = ml_collections.ConfigDict(ROWS | ASIDES)
    config.table_rows = tuple(ROWS)
    config.protocols = ("triplet_random",)
    config.folds = ()  # empty: all that the protocol has
    config.seeds = (0,)
    config.protocol_seeds = ml_collections.ConfigDict()  # protocol -> its own seeds

    # Which examples.
    config.data = ml_collections.ConfigDict()
    config.data.dataset = "ravdess"  # ravdess, baum1_acted, baum1_spontaneous
    config.data.builder = "triplets"  # the builder config: triplets, frames or speech
    # What is chosen when the set is built; anything but these defaults is another folder.
    config.data.build = ml_collections.ConfigDict()
    config.data.build.detector = "haar"  # haar, yunet (with a model file), none
    config.data.build.detector_model = placeholder(str)
    config.data.build.face_margin = 0.15  # added on each side, as a part of the face's width
    config.data.build.flow_scale = placeholder(float)  # pixels a frame; None: min-max, as the paper
    config.data.build.frame_choice = "random"  # random, uniform, every_tenth, scored
    config.data.build.frame_scores = placeholder(str)  # CSV file, for scored
    config.data.build.noise_snr_db = 15.0
    config.data.build.pitch_semitones = 2.0
    config.data.build.shift_seconds = 0.5  # of the builder config speech, as the next
    config.data.build.stretch_factor = 0.8
    config.data.build.video_only = False  # also the recordings without audio
    config.data.emotions = ("anger", "disgust", "fear", "happiness", "sadness")
    config.data.intensities = ("strong",)  # as the data set calls them; () for all
    # Versions of the audio; there are also time_shift and time_stretch, in speech builds.
    config.data.audio_variants = ("original", "noise", "pitch_shift")
    config.data.one_spectrogram = False  # every frame of a clip with its unaltered audio
    config.data.mask_background = False  # black around the face
    config.data.picked = placeholder(str)  # CSV file of clip, frame_index: only these frames
    config.data.size = 128  # pixels; the paper does not give it
    # Where they come from (see the README); these do not enter a workdir's identity.
    config.data.manual_dir = placeholder(str)  # folder of the recordings
    config.data.download = False  # allow the 12 GB download
    config.data.data_dir = placeholder(str)  # where built data sets live; None: TFDS's default
    config.data.pack = placeholder(str)  # train from this pack alone
    # How a pack that is made keeps its images: npy, array_record; empty: by size.
    config.data.pack_storage = ""
    # Clips to render where there are no recordings; the fields of synthetic.render_ravdess.
    config.data.rendered = ml_collections.ConfigDict({"enabled": False})

    # The other data set, where one is trained on and another tested on. What is not here is as
    # in `data`.
    config.test_data = ml_collections.ConfigDict()
    config.test_data.dataset = placeholder(str)
    config.test_data.intensities = ()
    config.test_data.manual_dir = placeholder(str)
    config.test_data.data_dir = placeholder(str)
    config.test_data.pack = placeholder(str)
    config.test_data.rendered = ml_collections.ConfigDict({"enabled": False})

    config.split = ml_collections.ConfigDict()
    config.split.test_fraction = 0.2  # the paper does not give it
    config.split.validation_fraction = 0.0  # of the rest; the paper speaks of none
    # "validation": the test part is put away unread, and the validation part tested in its place.
    # What is chosen by numbers, a recipe or a rate, is chosen by these.
    config.split.tested = "test"
    # Names of protocols: training parts are thinned out at random to the smallest that these have.
    config.split.equal_training = ()
    config.split.leave_out_fold = placeholder(int)  # of actor_kfold: its subjects take no part
    config.split.shuffle_labels = False  # train on permuted labels: a check that chance comes out

    # The network; rows override what differs between them.
    config.modalities = ("face", "flow", "mel")
    config.model = ml_collections.ConfigDict()
    config.model.name = "concatenation"  # gated_sum, attention, vgg16
    config.model.filters = (32, 64, 128, 256, 512)
    config.model.hidden = (2048, 1024)
    config.model.dropout_features = 0.5
    config.model.dropout_output = 0.4
    config.model.pooling = "flatten"  # average, average_max: pooled over all places of the map
    config.model.normalization = ""  # group, layer: after each convolution
    config.model.patch = 1  # pixels of a side taken as one place with more channels
    # bfloat16: the arithmetic of training, for GPUs and TPUs; parameters and all that is measured
    # stay float32.
    config.model.dtype = "float32"
    config.model.width = 256  # of gated_sum and attention
    config.model.heads = 4  # of attention

    # Decision-level fusion of rows with one input each; an empty method trains a network.
    config.fusion = ml_collections.ConfigDict()
    config.fusion.method = ""  # mean, product, maximum, majority, weighted, logistic, ...
    config.fusion.rows = ()  # rows
    config.fusion.inner_folds = 3  # parts of the training part, for what is fitted on top

    # Training.
    config.optimizer = ml_collections.ConfigDict({"name": "adam", "learning_rate": 3e-4})
    config.optimizer.weight_decay = 0.0  # of adamw
    config.optimizer.schedule = "constant"  # cosine: down to zero at the last epoch
    config.optimizer.warmup_epochs = 0  # of cosine
    # Rates: each cell trains a network with each of them and keeps the one that its validation part
    # finds best, measured after the last epoch alone. Empty: learning_rate.
    config.optimizer.learning_rate_search = ()
    config.optimizer.ema_decay = 0.0  # decay of a running average of the parameters; 0 for none
    config.loss = ml_collections.ConfigDict({"label_smoothing": 0.0})
    # Images as the networks see them. unit: 0..1, as the paper; global: mean 0 and deviation 1
    # over the training part, for each frequency or color; per_speaker: over each person's own.
    config.input = ml_collections.ConfigDict({"normalization": "unit"})
    # Random changes of each batch in training. Of spectrograms: the largest shift, SpecAugment's
    # strips (how many) and the widest strip, as parts of the image's side. mixup: of Beta(a, a).
    # modality_dropout: how often an input of an example is absent (zeros), where there are several.
    config.augment = ml_collections.ConfigDict()
    config.augment.time_shift = 0.0
    config.augment.frequency_shift = 0.0
    config.augment.time_masks = 0
    config.augment.time_width = 0.2
    config.augment.frequency_masks = 0
    config.augment.frequency_width = 0.2
    config.augment.mixup = 0.0
    config.augment.modality_dropout = 0.0
    config.batch_size = 30
    config.epochs = 40
    config.measure_epochs = (10, 20, 30, 40)  # those up to `epochs`, and `epochs` itself

    # Early stopping: after so many epochs without a better validation part ("loss" or "accuracy" of
    # its examples) training ends, `epochs` at the latest; the best epoch is what is measured, under
    # `epochs`. 0: no early stopping, as the paper.
    config.early_stopping = ml_collections.ConfigDict({"patience": 0, "monitor": "loss"})

    # The paper's numbers, and what they were measured on.
    config.paper = ml_collections.ConfigDict()
    config.paper.epochs = (10, 20, 30, 40)
    config.paper.protocol = "triplet_random"
    config.paper.dataset = "ravdess"
    config.paper.emotions = config.data.emotions
    config.paper.intensities = ("strong",)
    config.paper.accuracy = ml_collections.ConfigDict()  # row -> one number for each of the epochs

    # How it runs; nothing here alters a result.
    config.run = ml_collections.ConfigDict()
    config.run.checkpoint_seconds = 60.0  # the three-input state is 0.7 GB at 128 pixels
    config.run.chunk_seconds = 2.0  # a signal is answered after at most this
    config.run.predict_batch = 120
    config.run.cells_at_once = 0  # networks trained at once on a device; 0: what is found fastest
    # Whether images are read while training goes on, instead of all before it: docs/streaming.md.
    # None: where they would take more than half of a device's memory.
    config.run.stream = placeholder(bool)
    config.run.workers = placeholder(int)  # processes for building; None: all cores
    config.run.strict = False  # a recording that cannot be used stops the build
    config.run.keep_params = True  # keep each cell's final parameters
    config.run.tensorboard = True
    return config
