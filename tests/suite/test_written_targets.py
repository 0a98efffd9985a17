"""The targets `scan` and `keras2`, end to end: files are written, read back and executed by their own frameworks."""

import numpy as np
import pytest

import multilstm
from multilstm.spec import L2, LSTM, Bidirectional, Dense, Dropout, Embedding, Sequential

SPEC = Sequential(
    [
        *(Embedding(9, 4, mask_zero=True), Bidirectional(LSTM(3, return_sequences=True))),
        *(LSTM(2, kernel_regularizer=L2(0.1)), Dropout(0.4), Dense(2)),
    ],
    (5,),
    input_dtype="int32",
)
PROVEN = {"output", "last_output", "hidden", "cell", "parameter_count", "gradient"}


@pytest.mark.parametrize(("to", "package", "suffix"), [("scan", "jax", ".py"), ("keras2", "tf_keras", ".h5")])
def test_a_model_is_converted_and_read_back(to, package, suffix, tmp_path):
    pytest.importorskip(package)
    conversion = multilstm.convert(SPEC, to)
    assert conversion.report.agrees
    assert {cell.dtype for cell in conversion.report.cells} == {"float32", "float64"}
    assert {cell.comparison.quantity.kind for cell in conversion.report.cells} >= PROVEN
    paths = conversion.save(tmp_path / f"port{suffix}")
    assert (tmp_path / "port.proof.json") in paths
    if to == "keras2":
        loaded = multilstm.load(paths[0])
        assert loaded.provenance.generation == 2
        assert loaded.spec.layer("dropout").rate == 0.4
        assert loaded.spec.layer("lstm").kernel_regularizer == L2(0.1)
    else:
        assert multilstm.load(tmp_path / "port.json").spec == SPEC


def test_an_activation_that_keras_2_lacks_is_refused_by_its_name():
    pytest.importorskip("tf_keras")
    from multilstm.engines.keras.keras2_writer import serve
    from multilstm.errors import UnsupportedError
    from multilstm.spec import to_json
    from multilstm.weights import discriminating_weights

    spec = Sequential([LSTM(2), Dense(2, "gelu")], (5, 3))
    weights = {name: np.float32(array) for name, array in discriminating_weights(spec).items()}
    with pytest.raises(
        UnsupportedError, match="keras2: Dense 'dense' cannot be converted because of activation='gelu'"
    ):
        serve()({"spec": to_json(spec), "weights": weights})
