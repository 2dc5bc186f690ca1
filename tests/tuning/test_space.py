"""Distributions of fields, and what cannot be searched."""

import math

import numpy as np
import pytest
from scipy import stats

from mmer_jax import errors
from mmer_jax.tuning import space


def draw_values(config, text, n=4000):
    field = space.parse(config, text)
    rng = np.random.default_rng(0)
    return field.name, [field.draw(rng) for _ in range(n)]


def test_a_range_is_uniform(strong_config):
    name, values = draw_values(strong_config, "model.dropout_output=0.2:0.6")
    assert name == "model.dropout_output"
    assert min(values) >= 0.2 and max(values) <= 0.6
    assert stats.kstest(values, stats.uniform(0.2, 0.4).cdf).pvalue > 0.01


def test_a_log_range_is_log_uniform_with_three_digits(strong_config):
    _, values = draw_values(strong_config, "optimizer.learning_rate=log:1e-4:3e-3")
    assert min(values) >= 1e-4 and max(values) <= 3e-3
    assert stats.kstest(values, stats.loguniform(1e-4, 3e-3).cdf).pvalue > 0.01
    assert all(float(f"{x:.2e}") == x for x in values)


def test_integers_include_both_ends(strong_config):
    _, values = draw_values(strong_config, "augment.time_masks=0:3")
    assert set(values) == {0, 1, 2, 3} and all(type(x) is int for x in values)
    assert stats.chisquare(np.bincount(values)).pvalue > 0.01
    _, values = draw_values(strong_config, "batch_size=log:8:64")
    assert (min(values), max(values)) == (8, 64) and all(type(x) is int for x in values)
    assert np.median(values) == pytest.approx(math.sqrt(8 * 64), rel=0.1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optimizer.weight_decay=1e-5,1e-4,1", {1e-5, 1e-4, 1.0}),
        ("optimizer.name=adam,adamw", {"adam", "adamw"}),
        ("data.mask_background=true,False", {True, False}),
        ("data.build.flow_scale=5,10", {5.0, 10.0}),  # None in the config
    ],
)
def test_one_of_several_is_drawn(strong_config, text, expected):
    _, values = draw_values(strong_config, text, 100)
    assert set(values) == expected
    assert {type(x) for x in values} == {type(x) for x in expected}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer.learning_rat=1:2", "no field 'learning_rat'; did you mean 'learning_rate'?"),
        ("dropout=0.1:0.2", "no field 'dropout'. Known there: augment, "),
        ("optimizer=1:2", "config.optimizer cannot be searched: it is not a number"),
        ("model.filters=1,2", "config.model.filters cannot be searched: it is not a number"),
        ("split.test_fraction=0.1:0.3", "config.split.test_fraction defines what is measured"),
        ("split.tested=test,validation", "defines what is measured"),
        ("data.pack=a,b", "defines what is measured, or where"),
        ("rows.mel.model.dropout_output=0:1", "defines what is measured"),
        ("run.predict_batch=8,16", "defines what is measured, or where"),
        ("optimizer.learning_rate", "is not FIELD=WHAT, such as optimizer.learning_rate=log:"),
        ("optimizer.learning_rate=", "is not FIELD=WHAT"),
        ("optimizer.learning_rate=fast,slow", "'fast' is not a number"),
        ("optimizer.learning_rate=nan,1", "'nan' is not a number"),
        ("batch_size=8.5,16", "'8.5' is not an integer"),
        ("data.mask_background=yes,no", "'yes' is not true or false"),
        ("optimizer.learning_rate=log:0:1", "LOW must be below HIGH and above 0"),
        ("optimizer.learning_rate=2:1", "LOW must be below HIGH"),
        ("optimizer.learning_rate=1:2:3", "a range is LOW:HIGH or log:LOW:HIGH"),
        ("optimizer.learning_rate=0.1", "two or more different values"),
        ("optimizer.learning_rate=0.1,0.10", "two or more different values"),
    ],
)
def test_mistakes_are_reported(strong_config, text, message):
    with pytest.raises(errors.UserError) as error:
        space.parse(strong_config, text)
    assert message in str(error.value)


def test_the_first_trial_has_the_configs_values_and_the_others_differ(strong_config):
    fields = [
        space.parse(strong_config, "optimizer.learning_rate=log:1e-4:1e-2"),
        space.parse(strong_config, "batch_size=8,16"),
    ]
    own = {"optimizer.learning_rate": 3e-4, "batch_size": 30}
    trials = space.draw(fields, own, 12, seed=3)
    assert trials[0] == own and len(trials) == 12
    assert space.draw(fields, own, 5, seed=3) == trials[:5]
    assert space.draw(fields, own, 5, seed=4)[1:] != trials[1:5]
    few = space.draw(fields[1:], {"batch_size": 16}, 12, seed=3)
    assert few == [{"batch_size": 16}, {"batch_size": 8}]


def test_flags_are_quoted():
    values = {"optimizer.learning_rate": 0.00123, "data.build.detector_model": "my model"}
    assert space.format_flags(values) == (
        "--config.optimizer.learning_rate=0.00123 '--config.data.build.detector_model=my model'"
    )
