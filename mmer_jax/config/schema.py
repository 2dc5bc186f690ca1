"""The schema of a config: its fields and their defaults, which are the paper's where it has values.

A config is data: nested `ml_collections.ConfigDict`s without logic. `rows` maps the name of a table
row to the fields that the row overrides.

Defaults never change, and the default of a new field keeps the behavior from before the field
existed: workdirs and records that lack a field are read as if they had its default.
"""

import ml_collections
from ml_collections.config_dict import placeholder

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness")


def default_config() -> ml_collections.ConfigDict:
    """Returns a new config with every field at its default; unlocked, without rows."""
    config = ml_collections.ConfigDict()

    # The cells to run: rows x protocols x folds x seeds. Runs in one workdir may differ in them.
    config.table = ""  # key of the paper's table, for records
    config.row = ""  # comma-separated row names; empty: table_rows
    config.rows = ml_collections.ConfigDict()  # row name -> the fields that it overrides
    config.table_rows = ()  # the rows that are run by default
    config.protocols = ("triplet_random",)
    config.folds = ()  # empty: all folds of the protocol
    config.seeds = (0,)
    config.protocol_seeds = ml_collections.ConfigDict()  # protocol -> its seeds
    # Modules, or paths of .py files, that register models, modalities, decision rules or protocols.
    config.plugins = ()

    # Selection of the examples.
    config.data = ml_collections.ConfigDict()
    config.data.dataset = "ravdess"  # ravdess, baum1_acted, baum1_spontaneous
    config.data.builder = "triplets"  # the builder config: triplets, frames or speech
    # Options of the dataset builder. A dataset that is built with other values than these defaults
    # is stored in a separate folder.
    config.data.build = ml_collections.ConfigDict()
    config.data.build.detector = "haar"  # haar, yunet (needs detector_model), none
    config.data.build.detector_model = placeholder(str)  # path of the detector's model file
    config.data.build.face_margin = 0.15  # added on each side, as a fraction of the face's width
    config.data.build.flow_scale = placeholder(float)  # pixels per frame; None: per-frame min-max
    config.data.build.frame_choice = "random"  # random, uniform, every_tenth, scored
    config.data.build.frame_scores = placeholder(str)  # path of a CSV file, for scored
    config.data.build.noise_snr_db = 15.0
    config.data.build.pitch_semitones = 2.0
    config.data.build.shift_seconds = 0.5  # of the builder config speech, like stretch_factor
    config.data.build.stretch_factor = 0.8
    config.data.build.video_only = False  # include recordings without audio
    config.data.emotions = EMOTIONS  # the classes, in order
    config.data.intensities = ("strong",)  # as the dataset names them; (): all
    # Versions of the audio; builds with `speech` also have time_shift and time_stretch.
    config.data.audio_variants = ("original", "noise", "pitch_shift")
    config.data.one_spectrogram = False  # pair every frame of a clip with its original audio
    config.data.mask_background = False  # black out what is not the face
    config.data.picked = placeholder(str)  # path of a CSV file of clip, frame_index: only these
    config.data.size = 128  # pixels; the paper does not give it
    # Location of the data. It is not part of the identity of a config (config/identity.py): it may
    # differ between runs in one workdir.
    config.data.manual_dir = placeholder(str)  # folder of the recordings
    config.data.download = False  # allow the download of 12 GB
    config.data.data_dir = placeholder(str)  # folder of built datasets; None: the default of TFDS
    config.data.pack = placeholder(str)  # train from this pack; no recordings are needed
    config.data.pack_storage = ""  # how a new pack stores images: npy, array_record; "": by size
    # Clips to render in place of recordings; the arguments of synthetic.render_ravdess.
    config.data.rendered = ml_collections.ConfigDict({"enabled": False})

    # A second dataset to test on, for the protocol cross_dataset. These fields replace those of
    # `data`, even if they are not set: intensities () means all. Other fields are as in `data`.
    config.test_data = ml_collections.ConfigDict()
    config.test_data.dataset = placeholder(str)
    config.test_data.intensities = ()
    config.test_data.manual_dir = placeholder(str)
    config.test_data.data_dir = placeholder(str)
    config.test_data.pack = placeholder(str)
    config.test_data.rendered = ml_collections.ConfigDict({"enabled": False})

    config.split = ml_collections.ConfigDict()
    config.split.test_fraction = 0.2  # of the protocol's groups; the paper does not give it
    config.split.validation_fraction = 0.0  # of the remaining groups; the paper: none
    # "validation": metrics are those of the validation subset, and the test subset is never read.
    # Use it to choose recipes and hyperparameters.
    config.split.tested = "test"
    # Names of protocols: every training subset has as many speakers, recordings and examples as the
    # smallest one that these protocols have (protocols.equal_training).
    config.split.equal_training = ()
    config.split.leave_out_fold = placeholder(int)  # a fold of actor_kfold to leave out altogether
    config.split.shuffle_labels = False  # train on permuted labels, as a check of chance level

    # The network. All fields of `model` but the name are arguments of the module that
    # models.registry holds under that name; None stands for the module's own default.
    config.modalities = ("face", "flow", "mel")
    config.model = ml_collections.ConfigDict()
    config.model.name = "concatenation"  # gated_sum, attention, vgg16, or a plugin's
    config.model.filters = placeholder(tuple)  # filters of each tower's blocks
    config.model.hidden = placeholder(tuple)  # widths of the dense layers before the output
    config.model.dropout_features = placeholder(float)  # rate on each tower's feature map
    config.model.dropout_output = placeholder(float)  # rate before the output layer
    config.model.pooling = placeholder(str)  # flatten, average, average_max
    config.model.normalization = placeholder(str)  # group, layer: after each convolution
    config.model.patch = placeholder(int)  # side of the patches that become one position
    config.model.width = placeholder(int)  # of gated_sum and attention
    config.model.heads = placeholder(int)  # of attention
    # Arithmetic of the network in training: float32, bfloat16. Parameters and everything that is
    # evaluated stay in float32.
    config.compute_dtype = "float32"

    # Late fusion (at decision level) of the networks of other rows; "": the row trains a network.
    config.fusion = ml_collections.ConfigDict()
    config.fusion.method = ""  # mean, product, maximum, majority, weighted, logistic, ...
    config.fusion.rows = ()  # the rows that are fused
    # The seeds whose networks are fused, as an ensemble: one cell for all. (): those of each cell.
    config.fusion.seeds = ()
    config.fusion.inner_folds = 3  # of the training subset, for methods that are fitted

    # Training.
    config.optimizer = ml_collections.ConfigDict()
    config.optimizer.name = "adam"  # adam, adamw
    config.optimizer.learning_rate = 3e-4  # not in the paper: docs/results.md
    config.optimizer.weight_decay = 0.0  # of adamw
    config.optimizer.schedule = "constant"  # cosine: decays to zero over `epochs`
    config.optimizer.warmup_epochs = 0  # of cosine
    # Learning rates to search: each cell trains one network with each and keeps the one with the
    # best validation accuracy, evaluated after the last epoch. Empty: learning_rate.
    config.optimizer.learning_rate_search = ()
    config.optimizer.ema_decay = 0.0  # of the EMA of the parameters; 0: none
    config.loss = ml_collections.ConfigDict({"label_smoothing": 0.0})
    # unit: images scaled to 0..1, as in the paper; global: mean 0 and standard deviation 1 over the
    # training subset, per frequency or color channel; per_speaker: over each speaker's own
    # images, those of test speakers included, without labels (transductive, docs/protocols.md).
    config.input = ml_collections.ConfigDict({"normalization": "unit"})
    # Random changes of each training batch. Shifts and widths are fractions of the image's side.
    config.augment = ml_collections.ConfigDict()
    config.augment.time_stretch = 0.0  # of spectrograms: 0.2 draws factors from 1 / 1.2 to 1.2
    config.augment.frequency_stretch = 0.0
    config.augment.gain = 0.0  # the largest change of the level, as a fraction of the value range
    config.augment.equalization = 0.0  # the same of each frequency by itself, a smooth curve
    config.augment.noise_floor = 0.0  # the highest level, in 0..1, up to which noise may fill
    config.augment.time_shift = 0.0  # the largest shift of a spectrogram in time
    config.augment.frequency_shift = 0.0
    config.augment.time_masks = 0  # SpecAugment: how many masks, and the widest
    config.augment.time_width = 0.2
    config.augment.frequency_masks = 0
    config.augment.frequency_width = 0.2
    config.augment.mixup = 0.0  # alpha of Beta(alpha, alpha); 0: none
    config.augment.modality_dropout = 0.0  # rate at which an input of an example is zeroed
    config.batch_size = 30
    config.epochs = 40
    config.measure_epochs = (
        10,
        20,
        30,
        40,
    )  # evaluated after these and after the last epoch

    # Early stopping: training ends after `patience` epochs without a better validation loss or
    # accuracy (`monitor`); the best epoch's parameters are evaluated once, and their result is
    # recorded as that of epoch `epochs`. measure_epochs is then ignored. 0: off.
    config.early_stopping = ml_collections.ConfigDict({"patience": 0, "monitor": "loss"})

    # The numbers printed in the paper and what they were measured on. Not part of the identity.
    config.paper = ml_collections.ConfigDict()
    config.paper.epochs = (10, 20, 30, 40)
    config.paper.protocol = "triplet_random"
    config.paper.dataset = "ravdess"
    config.paper.emotions = EMOTIONS
    config.paper.intensities = ("strong",)
    config.paper.accuracy = ml_collections.ConfigDict()  # row -> one number for each of the epochs

    # How it runs. Nothing here alters a result.
    config.run = ml_collections.ConfigDict()
    # Time between checkpoints; one of a network with three inputs at 128 pixels has 0.7 GB.
    config.run.checkpoint_seconds = 60.0
    config.run.predict_batch = 120  # examples per batch in evaluation
    config.run.workers = placeholder(int)  # processes for building; None: one per core
    config.run.strict = False  # make a recording that cannot be used an error
    config.run.keep_params = True  # keep each cell's final parameters
    config.run.tensorboard = True
    config.run.profile = placeholder(str)  # folder for a profiler trace of some training steps
    return config
