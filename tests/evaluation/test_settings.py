"""Inductive and transductive, test and validation: derived from the configs of records."""

from mmer_jax.evaluation import settings
from mmer_jax.training import normalization


def config(value, **fields):
    return {"input": {"normalization": value}, **fields}


def test_every_normalization_has_a_setting():
    assert set(settings.BY_NORMALIZATION) == set(normalization.NORMALIZATIONS)


def test_the_setting_follows_from_the_normalization():
    assert settings.setting_of([config("unit")]) == "inductive"
    assert settings.setting_of([config("global")]) == "inductive"
    assert settings.setting_of([config("per_speaker")]) == "transductive"
    assert settings.setting_of([{}]) == "inductive"  # the field did not exist
    assert settings.setting_of([{"input": {"normalisation": "per_speaker"}}]) == "transductive"
    assert settings.setting_of([config("of a later version")]) == "transductive"


def test_late_fusion_is_transductive_if_a_member_is(make_record):
    fusion = {"fusion": {"method": "mean", "rows": ["a", "b"]}, **config("unit")}
    fused = make_record(row="fused", config=fusion)

    def setting(a, b):
        members = [make_record(row="a", config=config(a)), make_record(row="b", config=config(b))]
        other = make_record(row="other", config=config("per_speaker"))
        return settings.setting_of(settings.configs_of(fused, [*members, other, fused]))

    assert setting("unit", "global") == "inductive"
    assert setting("unit", "per_speaker") == "transductive"
    assert setting("per_speaker", "unit") == "transductive"


def test_labels_name_what_must_be_known():
    assert settings.add_labels("mel", "inductive", "test") == "mel"
    assert settings.add_labels("mel", "transductive", "test") == "mel (transductive)"
    assert settings.add_labels("mel", "inductive", "validation") == "mel (validation)"
    both = settings.add_labels("mel", "transductive", "validation")
    assert both == "mel (transductive, validation)"
    assert settings.add_labels("transductive", "transductive", "test") == "transductive"


def test_the_caveat_has_the_number_of_recordings_per_speaker(make_record):
    dataset = {"name": "ravdess", "clips": 1080, "subjects": [f"actor_{i}" for i in range(18)]}
    record = make_record(dataset=dataset, config=config("per_speaker"))
    assert "here 60 per speaker" in settings.describe_transductive([record])
    assert ": here" not in settings.describe_transductive([make_record()])  # the numbers are absent
    notes = settings.describe([("inductive", "test", [record]), ("transductive", "test", [record])])
    assert notes == [settings.describe_transductive([record])]
    assert settings.describe([("inductive", "validation", [record])]) == [settings.VALIDATION_NOTE]
    assert settings.describe([("inductive", "test", [record])]) == []
