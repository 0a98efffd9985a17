"""The reference gives the results that other projects' tests expect."""

import numpy as np
import pytest

from multilstm.cases.catalogue.peers import peers
from multilstm.compare import Quantity
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.execution.part import Part
from multilstm.execution.quantities import quantities_of
from multilstm.jobs.job import Job

PEERS = {peer.case.name: peer for peer in peers()}


@pytest.mark.parametrize("name", PEERS)
def test_reference_gives_the_published_results(name):
    peer = PEERS[name]
    case = peer.case
    job = Job(case.spec, case.weights, tuple(case.forward_steps()), dtype="float64")
    found = quantities_of(Part.FORWARD, case, Executor(ReferenceEngine()).execute(job))
    assert peer.expected
    for (quantity, step), desired in peer.expected.items():
        np.testing.assert_allclose(found[Quantity.parse(quantity)][step], desired, peer.tolerance, peer.tolerance)
