"""What cells choose by their validation part: when to stop, and their learning rate."""

import json

import numpy as np
import pytest

from mmer_jax import errors, training
from mmer_jax.config.cell import Cell
from mmer_jax.experiments import learning_rate_search
from mmer_jax.experiments.run import check_config, run_experiment
from mmer_jax.results import predictions, records

RATES = (1e-3, 3e-2)
CELL = Cell("mel", "actor_kfold", 0, 0)


@pytest.fixture
def config(strong_config, small_pack):
    """One cell of a network that trains in a moment; its validation part is two people."""
    strong_config.update_from_flattened_dict(
        {
            "row": "mel",
            "protocols": ("actor_kfold",),
            "folds": (0,),
            "data.pack": str(small_pack),
            "data.size": 16,
            "split.validation_fraction": 0.2,
            "model.filters": (4, 8),
            "epochs": 4,
            "measure_epochs": (),
            "run.tensorboard": False,
        }
    )
    strong_config.rows.mel.model.hidden = (16,)
    return strong_config


def stored(workdir):
    return predictions.load(workdir / "predictions" / f"{CELL.name}.npz").examples


def test_a_cell_that_stops_early_says_when(config, tmp_path):
    config.epochs, config.measure_epochs = 40, (10, 20)
    config.early_stopping.patience, config.optimizer.learning_rate = 1, 3e-2
    (record,) = run_experiment(config, tmp_path)
    with open(tmp_path / "curves" / f"{CELL.name}.json") as file:
        curve = json.load(file)
    best = min(curve, key=lambda entry: entry["validation_loss"])
    assert record["epochs"] == 40
    assert record["best_epoch"] == best["epoch"] == len(curve) - 1
    assert record["stopped_epoch"] == len(curve) < 40
    assert record["validation_accuracy"] == best["validation_accuracy"]
    assert record["train_loss"] == best["train_loss"]
    assert run_experiment(config, tmp_path) == [record]


def test_a_fixed_budget_says_nothing_of_it(config, tmp_path):
    (record,) = run_experiment(config, tmp_path)
    assert not {"best_epoch", "stopped_epoch", "chosen_learning_rate", "rates"} & set(record)
    assert (record["config"]["early_stopping"]["patience"], record["epochs"]) == (0, 4)


@pytest.fixture
def plain(config, tmp_path):
    """Rate -> (record, predictions) of a cell that has this rate and no choice."""
    plain_runs = {}
    for rate in RATES:
        config.optimizer.learning_rate = rate
        (record,) = run_experiment(config, tmp_path / f"plain{rate}")
        plain_runs[rate] = (record, stored(tmp_path / f"plain{rate}"))
    return plain_runs


def test_the_chosen_rates_network_is_the_one_that_it_alone_would_give(
    config, plain, small_pack, alter_pack, tmp_path, monkeypatch
):
    config.optimizer.learning_rate_search = RATES
    predicted, train = [], training.train
    monkeypatch.setattr(
        training, "train", lambda *a, **k: predicted.append(set(a[3])) or train(*a, **k)
    )
    (record,) = run_experiment(config, tmp_path / "chosen")
    assert predicted == [{"train", "validation"}] * 2  # no candidate has seen a test example

    accuracy = {rate: r["validation_accuracy"] for rate, (r, _) in plain.items()}
    assert accuracy[3e-2] > accuracy[1e-3]
    assert record["chosen_learning_rate"] == 3e-2
    assert [(r["learning_rate"], r["validation_accuracy"]) for r in record["rates"]] == [
        (rate, accuracy[rate]) for rate in RATES
    ]
    expected, with_rate = plain[3e-2]
    for field in ("accuracy", "loss", "train_loss", "validation_accuracy", "confusion", "n_train"):
        assert record[field] == expected[field], field
    chosen = stored(tmp_path / "chosen")
    assert chosen.keys() == with_rate.keys() == {(4, "test"), (4, "validation")}
    for key, examples in with_rate.items():
        np.testing.assert_array_equal(chosen[key].probabilities, examples.probabilities)
    assert not list((tmp_path / "chosen" / "checkpoints").iterdir())
    assert (tmp_path / "chosen" / "params" / CELL.name).exists()

    # Neither what test examples look like nor what they are called has a say in it.
    other = alter_pack(tmp_path / "16px", small_pack, set(chosen[4, "test"].clip))
    config.data.pack = str(other)
    (again,) = run_experiment(config, tmp_path / "again")
    assert again["dataset"]["pack_digest"] != record["dataset"]["pack_digest"]
    assert again["accuracy"] != record["accuracy"]
    for field in ("rates", "chosen_learning_rate", "train_loss", "validation_accuracy"):
        assert again[field] == record[field], field


def test_candidates_are_not_trained_again_and_one_that_diverges_loses(
    config, tmp_path, monkeypatch
):
    config.optimizer.learning_rate_search = (3e-2, 1e38, 1e-3)
    config.early_stopping.patience = 3
    trained, train = [], training.train

    def until_the_third(config, *args, **kwargs):
        trained.append(config.optimizer.learning_rate)
        if len(trained) == 3:
            raise training.Interrupted(15)
        return train(config, *args, **kwargs)

    monkeypatch.setattr(training, "train", until_the_third)
    with pytest.raises(training.Interrupted):
        run_experiment(config, tmp_path)
    assert not records.read(tmp_path / records.FILE_NAME)
    with pytest.raises(errors.UserError, match="made with another config"):
        config.batch_size = 20
        run_experiment(config, tmp_path)
    config.batch_size = 30
    (record,) = run_experiment(config, tmp_path)
    assert trained == [3e-2, 1e38, 1e-3, 1e-3]
    assert record["rates"][1] == {
        "learning_rate": 1e38,
        "validation_accuracy": None,
        "validation_loss": None,
    }
    assert record["chosen_learning_rate"] == 3e-2
    assert record["best_epoch"] <= record["stopped_epoch"] <= 4


def test_all_diverging_is_an_error(config, tmp_path):
    config.optimizer.learning_rate_search = (1e37, 1e38)
    with pytest.raises(training.TrainingDivergedError, match=r"every learning rate .*1e\+37, 1e"):
        run_experiment(config, tmp_path)


def test_equal_rates_are_told_apart_by_loss_and_then_by_size():
    def scores(accuracy, loss):
        return {"validation_accuracy": accuracy, "validation_loss": loss}

    assert learning_rate_search.best({0.1: scores(0.5, 2.0), 0.2: scores(0.6, 9.0)}) == 0.2
    assert learning_rate_search.best({0.1: scores(0.5, 2.0), 0.2: scores(0.5, 1.0)}) == 0.2
    assert learning_rate_search.best({0.2: scores(0.5, 1.0), 0.1: scores(0.5, 1.0)}) == 0.1
    assert learning_rate_search.best({0.2: scores(None, None), 0.1: scores(0.0, 9.0)}) == 0.1
    assert learning_rate_search.best({0.2: scores(None, None)}) is None


@pytest.mark.parametrize(
    "requested", [{"early_stopping.patience": 3}, {"optimizer.learning_rate_search": RATES}]
)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split.validation_fraction": 0.0}, "needs a validation subset, and there is none"),
        (
            {"protocols": ("clip_random", "triplet_random")},
            "under triplet_random: its validation examples are versions of training clips",
        ),
        ({"split.tested": "validation"}, "chosen by the examples that it is measured on"),
    ],
)
def test_without_validation_data_nothing_is_chosen(config, tmp_path, requested, fields, message):
    config.update_from_flattened_dict({**requested, **fields})
    (field,) = requested
    with pytest.raises(errors.UserError, match=f"config.{field} .*{message}"):
        run_experiment(config, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rates", [(1e-3,), (1e-3, 1e-3), (0.0, 1e-3), ("a", "b")])
def test_rates_are_two_or_more_different_numbers(config, tmp_path, rates):
    config.optimizer.learning_rate_search = rates
    with pytest.raises(errors.UserError, match="two or more different rates above 0"):
        run_experiment(config, tmp_path)


def test_decisions_of_networks_that_choose(strong_config, tmp_path):
    strong_config.unlock()
    strong_config.update_from_flattened_dict(
        {
            "row": "both",
            "protocols": ("clip_random",),
            "split.validation_fraction": 0.2,
            "early_stopping.patience": 2,
        }
    )
    fusion = {"method": "logistic", "rows": ("face", "mel")}
    strong_config.rows.both = {"modalities": ("face", "mel"), "fusion": fusion}
    with pytest.raises(errors.UserError, match=r"'both' is fitted on networks .* as 'face' does"):
        check_config(strong_config)
    strong_config.rows.both.fusion.method = "mean"
    assert list(check_config(strong_config)) == ["face", "mel", "both"]
    strong_config.rows.mel.early_stopping = {"patience": 0}
    with pytest.raises(errors.UserError, match=r"'both' fuses 'mel': .* for both or for neither"):
        check_config(strong_config)
