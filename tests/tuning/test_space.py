"""What is drawn for a field, and what cannot be searched."""

import math

import numpy as np
import pytest
from scipy import stats

from mmer_jax import errors
from mmer_jax.tuning import space


def draws(config, text, n=4000):
    field = space.parse(config, text)
    rng = np.random.default_rng(0)
    return field.name, [field.draw(rng) for _ in range(n)]


def test_a_range_is_drawn_evenly(strong_config):
    name, found = draws(strong_config, "model.dropout_output=0.2:0.6")
    assert name == "model.dropout_output"
    assert min(found) >= 0.2 and max(found) <= 0.6
    assert stats.kstest(found, stats.uniform(0.2, 0.4).cdf).pvalue > 0.01


def test_a_rate_is_drawn_evenly_in_its_logarithm_with_three_digits(strong_config):
    _, found = draws(strong_config, "optimizer.learning_rate=log:1e-4:3e-3")
    assert min(found) >= 1e-4 and max(found) <= 3e-3
    assert stats.kstest(found, stats.loguniform(1e-4, 3e-3).cdf).pvalue > 0.01
    assert all(float(f"{x:.2e}") == x for x in found)


def test_whole_numbers_stay_whole_and_reach_both_ends(strong_config):
    _, found = draws(strong_config, "augment.time_masks=0:3")
    assert set(found) == {0, 1, 2, 3} and all(type(x) is int for x in found)
    assert stats.chisquare(np.bincount(found)).pvalue > 0.01
    _, found = draws(strong_config, "batch_size=log:8:64")
    assert (min(found), max(found)) == (8, 64) and all(type(x) is int for x in found)
    assert np.median(found) == pytest.approx(math.sqrt(8 * 64), rel=0.1)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("optimizer.weight_decay=1e-5,1e-4,1", {1e-5, 1e-4, 1.0}),
        ("optimizer.name=adam,adamw", {"adam", "adamw"}),
        ("data.mask_background=true,False", {True, False}),
        ("data.build.flow_scale=5,10", {5.0, 10.0}),  # None in the config
    ],
)
def test_one_of_several_is_drawn(strong_config, text, values):
    _, found = draws(strong_config, text, 100)
    assert set(found) == values
    assert {type(x) for x in found} == {type(x) for x in values}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optimizer.learning_rat=1:2", "no field 'learning_rat'; did you mean 'learning_rate'?"),
        ("dropout=0.1:0.2", "no field 'dropout'. Known there: augment, "),
        ("optimizer=1:2", "config.optimizer is neither a number nor a name"),
        ("model.filters=1,2", "config.model.filters is neither a number nor a name"),
        ("split.test_fraction=0.1:0.3", "config.split.test_fraction says what is measured"),
        ("split.tested=test,validation", "says what is measured"),
        ("data.pack=a,b", "says what is measured, or where"),
        ("rows.mel.model.dropout_output=0:1", "says what is measured"),
        ("run.predict_batch=8,16", "says what is measured, or where"),
        ("optimizer.learning_rate", "is no FIELD=WHAT, such as optimizer.learning_rate=log:"),
        ("optimizer.learning_rate=", "is no FIELD=WHAT"),
        ("optimizer.learning_rate=fast,slow", "'fast' is no number"),
        ("optimizer.learning_rate=nan,1", "'nan' is no number"),
        ("batch_size=8.5,16", "'8.5' is no whole number"),
        ("data.mask_background=yes,no", "'yes' is no true or false"),
        ("optimizer.learning_rate=log:0:1", "LOW must be below HIGH and above 0"),
        ("optimizer.learning_rate=2:1", "LOW must be below HIGH"),
        ("optimizer.learning_rate=1:2:3", "a range is LOW:HIGH or log:LOW:HIGH"),
        ("optimizer.learning_rate=0.1", "two or more different values"),
        ("optimizer.learning_rate=0.1,0.10", "two or more different values"),
    ],
)
def test_mistakes_are_explained(strong_config, text, said):
    with pytest.raises(errors.UserError) as mistake:
        space.parse(strong_config, text)
    assert said in str(mistake.value)


def test_the_first_trial_is_the_configs_own_and_the_others_are_drawn_once(strong_config):
    fields = [
        space.parse(strong_config, "optimizer.learning_rate=log:1e-4:1e-2"),
        space.parse(strong_config, "batch_size=8,16"),
    ]
    own = {"optimizer.learning_rate": 3e-4, "batch_size": 30}
    found = space.draw(fields, own, 12, seed=3)
    assert found[0] == own and len(found) == 12
    assert space.draw(fields, own, 5, seed=3) == found[:5]
    assert space.draw(fields, own, 5, seed=4)[1:] != found[1:5]
    few = space.draw(fields[1:], {"batch_size": 16}, 12, seed=3)
    assert few == [{"batch_size": 16}, {"batch_size": 8}]


def test_flags_can_be_copied():
    values = {"optimizer.learning_rate": 0.00123, "data.build.detector_model": "my model"}
    assert space.flags(values) == (
        "--config.optimizer.learning_rate=0.00123 '--config.data.build.detector_model=my model'"
    )
