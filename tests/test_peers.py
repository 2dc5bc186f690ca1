"""Twenty training steps from the same weights: losses equal those of Keras and PyTorch."""

import importlib

import numpy as np
import pytest

from benchmarks.peers import in_jax, workload


@pytest.mark.parametrize(
    "library, module, reason",
    [
        ("keras", "in_keras", "Keras comes with TensorFlow (mmer-jax[data])"),
        ("torch", "in_torch", "PyTorch is only for benchmarks/peers: pip install torch"),
    ],
)
def test_losses_of_twenty_steps_equal_those_of_peers(library, module, reason):
    pytest.importorskip(library, reason=reason)
    peer = importlib.import_module(f"benchmarks.peers.{module}")
    work = workload.Workload("face_mel", 32, 6, dropout=False)
    ours = np.asarray(in_jax.Training(work).losses(20))
    expected = np.asarray(peer.Training(work).losses(20))
    assert ours[0] == pytest.approx(expected[0], rel=1e-5)
    # The epsilon of Keras's Adam is in another place, and sums are in another order.
    np.testing.assert_allclose(ours, expected, rtol=5e-3)
    assert abs(ours[-1] - ours[0]) > 0.01  # the weights changed, so differences could show
