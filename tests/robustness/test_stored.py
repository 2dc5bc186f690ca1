"""Stored tests of networks: which results of a row count."""

from mmer_jax.robustness import stored


def make_result(row, protocol, epochs):
    return {"table": "t", "row": row, "protocol": protocol, "epochs": epochs}


def test_each_row_has_its_results_after_the_most_epochs():
    results = [
        make_result("mel", "clip_random", 20),
        make_result("mel", "clip_random", 10),
        make_result("face", "clip_random", 10),
        make_result("mel", "actor_kfold", 10),
    ]
    grouped = stored.group_by_row(results)
    assert grouped == {
        ("t", "clip_random", "mel"): [results[0]],
        ("t", "clip_random", "face"): [results[2]],
        ("t", "actor_kfold", "mel"): [results[3]],
    }
    of_mel = stored.group_by_row(results, rows=["mel"])
    assert list(of_mel) == [("t", "clip_random", "mel"), ("t", "actor_kfold", "mel")]
    of_kfold = stored.group_by_row(results, protocols=["actor_kfold"])
    assert list(of_kfold) == [("t", "actor_kfold", "mel")]
