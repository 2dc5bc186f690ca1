"""Twenty steps from the same weights: this project's losses are Keras's and PyTorch's."""

import importlib

import numpy as np
import pytest

from benchmarks.peers import in_jax, work


@pytest.mark.parametrize(
    "library, module, why",
    [
        ("keras", "in_keras", "Keras comes with TensorFlow (mmer-jax[data])"),
        ("torch", "in_torch", "PyTorch is only for benchmarks/peers: pip install torch"),
    ],
)
def test_twenty_steps_give_the_same_losses(library, module, why):
    pytest.importorskip(library, reason=why)
    theirs = importlib.import_module(f"benchmarks.peers.{module}").Training
    given = work.Work("face_mel", 32, 6, dropout=False)
    ours, expected = (np.asarray(t(given).losses(20)) for t in (in_jax.Training, theirs))
    assert ours[0] == pytest.approx(expected[0], rel=1e-5)
    # Keras's Adam has its epsilon in another place; sums come in another order.
    np.testing.assert_allclose(ours, expected, rtol=5e-3)
    assert (
        abs(ours[-1] - ours[0]) > 0.01
    )  # something was learned, so that there was something to differ
