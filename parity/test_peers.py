"""Every engine gives what other projects' tests expect, to the tolerance of those tests."""

import numpy as np
import pytest

from multilstm.catalogue.peers import peers
from multilstm.engines.registry import ENGINES
from multilstm.errors import UnsupportedError
from multilstm.job import Job
from multilstm.parts import collect
from multilstm.workers import WorkerPool

PEERS = {peer.case.name: peer for peer in peers()}


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(threads=1) as pool:
        yield pool


@pytest.mark.quick
@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "reference"])
def test_engine_gives_what_is_published(pool, engines, engine, name):
    engines.require(engine)
    peer = PEERS[name]
    job = Job(peer.case.spec, peer.case.weights, tuple(peer.case.forward_steps()), device=engines.device)
    try:
        found = collect("forward", peer.case, pool.execute(engine, job))
    except UnsupportedError as error:
        if not ENGINES[engine].witness:
            raise
        pytest.skip(str(error))
    assert peer.expected
    for (quantity, step), desired in peer.expected.items():
        np.testing.assert_allclose(found[quantity][step], desired, peer.tolerance, peer.tolerance)
