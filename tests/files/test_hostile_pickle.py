"""Hostile pickles in checkpoints of PyTorch: nothing that they name is imported or called."""

import collections
import os
import pickle
import struct

import numpy as np
import pytest
import safetensors.numpy
from written_files import archive

import multilstm
from multilstm import Dense, Sequential
from multilstm.errors import InputError
from multilstm.files.parsers.pickled import Opaque, interpreted

pytestmark = pytest.mark.usefixtures("parse_here")
SPEC = Sequential([Dense(2)], input_shape=(3,))
OLD_MAGIC = 0x1950A86A20F9469CFC6C


class Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


def opcodes(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value):
    return b"J" + struct.pack("<i", value)


STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + integer(6) + b"tQ"


def tensor(storage=STORAGE, offset=0, shape=(2, 3), strides=(3, 1), marks=b""):
    """Return the opcodes of a tensor."""
    sizes = [b"(" + b"".join(map(integer, values)) + b"t" for values in (shape, strides)]
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + integer(offset) + b"".join(sizes) + b"\x89}" + marks + b"tR"
    )


def state(weight, bias=None):
    bias = tensor(shape=(2,), strides=(1,)) if bias is None else bias
    return opcodes(b"}(", text("fc.weight"), weight, text("fc.bias"), bias, b"u")


DATA = np.arange(6, dtype="<f4")
BYTES = DATA.tobytes()


def checkpoint(pickled, data=BYTES, **members):
    return archive({"a/data.pkl": pickled, "a/data/0": data, **members})


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def loaded(content):
        (tmp_path / "model.pt").write_bytes(content)
        try:
            return multilstm.load("model.pt", architecture=SPEC)
        finally:
            assert os.listdir() == ["model.pt"]

    return loaded


def test_reads_a_state_dict(load):
    weights = load(checkpoint(state(tensor()))).weights
    np.testing.assert_array_equal(weights["dense/kernel"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(weights["dense/bias"], [0, 1])


def test_strides_and_offsets_are_followed(load):
    weights = load(checkpoint(state(tensor(strides=(1, 2)), tensor(offset=4, shape=(2,), strides=(1,))))).weights
    np.testing.assert_array_equal(weights["dense/kernel"], [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(weights["dense/bias"], [4, 5])


def test_big_endian_storages_are_read(load):
    content = checkpoint(state(tensor()), DATA.astype(">f4").tobytes(), **{"a/byteorder": "big"})
    np.testing.assert_array_equal(load(content).weights["dense/bias"], [0, 1])


CALLS = {
    "os.system": Calls(os.system, "touch executed"),
    "eval": Calls(eval, "open('executed', 'w')"),
    "getattr": Calls(getattr, "x", "upper"),
    "import": Calls(__import__, "antigravity"),
    "nested": collections.OrderedDict(inner=[Calls(os.system, "touch executed")]),
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("value", CALLS.values(), ids=CALLS)
def test_nothing_is_called(load, value, protocol):
    with pytest.raises(InputError, match=r"whole pickled object of class|no dict of tensors by name"):
        load(checkpoint(pickle.dumps(value, protocol)))


def test_a_call_beside_the_tensors_is_not_made(load):
    inner = pickle.dumps(Calls(os.system, "touch executed"), 2)[2:-1]
    content = checkpoint(opcodes(b"}(", text("fc.weight"), tensor(), text("fc.bias"), tensor(shape=(2,), strides=(1,)),
                                 text("extra"), inner, b"u"))  # fmt: skip
    assert load(content).weights["dense/bias"].shape == (2,)


def test_a_class_is_a_name_alone():
    assert interpreted(b"\x80\x02cos\nsystem\n.")[0] == Opaque("os.system")


OTHER_STORAGE = STORAGE.replace(b"FloatStorage", b"QInt8Storage")
HUGE = tensor(shape=(2**30, 2**30), strides=(0, 0))
HOSTILE = {
    "negated": (checkpoint(state(tensor(marks=b"}" + text("neg") + b"\x88s"))), "a tensor that is negated"),
    "past_the_end": (checkpoint(state(tensor(offset=1))), "reads number 6 of a storage of 6"),
    "negative_offset": (checkpoint(state(tensor(offset=-1))), "it is broken"),
    "negative_stride": (checkpoint(state(tensor(strides=(3, -1)))), "it is broken"),
    "missing_stride": (checkpoint(state(tensor(strides=(3,)))), "it is broken"),
    "shape_bomb": (checkpoint(state(HUGE)), "claims 4,611,686,018,427,387,904 bytes"),
    "short_storage": (checkpoint(state(tensor()), b"1234"), "its storage has 4 bytes, expected 24"),
    "missing_storage": (archive({"a/data.pkl": state(tensor())}), "the archive has no 'a/data/0'"),
    "quantised": (checkpoint(state(tensor(OTHER_STORAGE))), "tensors of 'torch.QInt8Storage'"),
    "storage_of_a_path": (
        checkpoint(state(tensor(STORAGE.replace(text("0"), text("../../../etc/passwd"))))), "has no 'a/data/../..",
    ),
    "no_end": (checkpoint(b"\x80\x02}"), "broken or incomplete|no end"),
    "cut": (checkpoint(state(tensor())[:-30]), "broken or incomplete"),
    "empty_stack": (checkpoint(opcodes(b"0000")), "uses POP|broken"),
    "extension": (checkpoint(opcodes(b"\x82\x01")), "uses EXT1, which no state dict needs"),
    "persistent_id": (checkpoint(opcodes(text("x"), b"Q")), "broken|names data in a way"),
    "unknown_memo": (checkpoint(opcodes(b"h\x07")), "broken or incomplete"),
    "instance": (checkpoint(opcodes(b"(cos\nsystem\n", b"o")), "uses OBJ, which no state dict needs"),
    "old_instance": (checkpoint(opcodes(b"(ios\nsystem\n")), "uses INST, which no state dict needs"),
    "attributes_of_a_list": (checkpoint(opcodes(b"]}b")), "gives attributes to 'list'"),
    "module": (checkpoint(opcodes(b"cmodels\nNet\n)\x81")), "whole pickled object of class 'models.Net'"),
    "program": (checkpoint(state(tensor()), **{"a/constants.pkl": b""}), "a TorchScript program"),
    "two_models": (
        checkpoint(opcodes(b"}(", text("a"), state(tensor())[2:-1], text("b"), state(tensor())[2:-1], b"u")),
        "several models, at 'a', 'b'",
    ),
    "pickle_alone": (pickle.dumps({"fc.weight": 1}), "a pickle, which can execute any code"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE)
def test_refuses_a_hostile_checkpoint(load, content, message):
    with pytest.raises(InputError, match=message):
        load(content)


OTHER_FORMS = [
    "torch._utils\n_rebuild_sparse_tensor",
    "torch._utils\n_rebuild_qtensor",
    "numpy.core.multiarray\n_reconstruct",
]


@pytest.mark.parametrize("function", OTHER_FORMS)
def test_names_a_tensor_of_a_form_that_is_not_read(load, function):
    made = b"c" + function.encode() + b"\n(" + tensor() + b"tR"
    with pytest.raises(InputError, match=rf"tensor 'fc.weight' is made by .*{function.split('_')[-1]}.* to_dense"):
        load(checkpoint(state(made)))


@pytest.mark.parametrize(
    ("place", "is_read"),
    [("semantic", True), ("schema_net", True), ("model_ema", False), ("optimizer", False), ("lrScheduler", False)],
)
def test_an_entry_holds_no_model_by_a_word_of_its_name(load, place, is_read):
    inner = state(tensor())[2:-1]
    content = checkpoint(opcodes(b"}(", text(place), inner, b"u"))
    if is_read:
        assert set(load(content).weights) == {"dense/kernel", "dense/bias"}
    else:
        with pytest.raises(InputError, match="no dict of tensors by name"):
            load(content)


def test_notes_the_other_tensors_of_a_checkpoint(load):
    inner, other = state(tensor())[2:-1], b"}(" + text("v") + tensor() + b"u"
    loaded = load(checkpoint(opcodes(b"}(", text("net"), inner, text("head"), other, text("optim"), other, b"u")))
    assert "other tensors of the file were left out, those at 'head'" in loaded.provenance.notes


def test_a_dict_that_contains_itself_ends(load):
    with pytest.raises(InputError, match="no dict of tensors by name"):
        load(checkpoint(opcodes(b"}q\x00", text("a"), b"h\x00s")))


def old(value, keys=("0",), storages=((6, BYTES),)):
    parts = [pickle.dumps(OLD_MAGIC, 2), pickle.dumps(1001, 2), pickle.dumps({"little_endian": True}, 2), value]
    parts += [pickle.dumps(list(keys), 2), *(struct.pack("<q", count) + data for count, data in storages)]
    return b"".join(parts)


def test_reads_the_old_format(load):
    np.testing.assert_array_equal(load(old(state(tensor()))).weights["dense/bias"], [0, 1])


OLD = {
    "cut": (old(state(tensor()))[:-1], "its storages need"),
    "unknown_storage": (old(state(tensor()), ("7",)), "a storage '7' that no tensor of it uses"),
    "a_list_as_storage": (old(state(tensor()), ([],)), r"a storage \[\] that no tensor of it uses"),
    "no_storages": (old(state(tensor()), (), ()), "the file has no storage '0'"),
    "no_pickles": (pickle.dumps(OLD_MAGIC, 2), "no end|broken"),
}


@pytest.mark.parametrize(("content", "message"), OLD.values(), ids=OLD)
def test_refuses_a_broken_file_of_the_old_format(load, content, message):
    with pytest.raises(InputError, match=message):
        load(content)


def header(text, data=b""):
    return struct.pack("<Q", len(text)) + text.encode() + data


GOOD = safetensors.numpy.save({"fc.weight": DATA.reshape(2, 3), "fc.bias": DATA[:2]})
ENTRY = '"fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
TENSORS = {
    "cut": (GOOD[:-1], "no complete safetensors file"),
    "trailing": (GOOD + b"x", "no complete safetensors file"),
    "name_twice": (header(f"{{{ENTRY},{ENTRY}}}", bytes(8)), "twice in one object|no complete safetensors"),
    "overflow": (
        header('{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8]}}', bytes(8)),
        "no complete",
    ),
    "unknown_dtype": (
        header('{"a":{"dtype":"F8_E5M2","shape":[8],"data_offsets":[0,8]}}', bytes(8)),
        "dtype is 'F8_E5M2'",
    ),
}


@pytest.mark.parametrize(("content", "message"), TENSORS.values(), ids=TENSORS)
def test_refuses_a_broken_safetensors_file(load, content, message):
    with pytest.raises(InputError, match=message):
        load(content)


def module(parameters=b"}", modules=b"}"):
    """Return the opcodes of a module of a class that does not exist."""
    attributes = b"}(" + text("_parameters") + parameters + text("_modules") + modules + b"u"
    return b"cgone\nModel\n)\x81" + attributes + b"b"


def items(**values):
    return b"}(" + b"".join(text(name) + value for name, value in values.items()) + b"u"


LINEAR = module(items(weight=tensor(), bias=tensor(shape=(2,), strides=(1,))))


@pytest.mark.parametrize("whole", [module(modules=items(fc=LINEAR)), items(model=module(modules=items(fc=LINEAR)))])
def test_the_tensors_of_a_whole_module_are_read_without_its_class(load, whole):
    weights = load(checkpoint(opcodes(whole))).weights
    np.testing.assert_array_equal(weights["dense/kernel"], [[0, 3], [1, 4], [2, 5]])


def test_modules_inside_one_another_end(load):
    inner = module()
    for _ in range(40):
        inner = module(modules=items(x=inner))
    with pytest.raises(InputError, match="nested more than 32 deep"):
        load(checkpoint(opcodes(inner)))


def test_one_module_inside_itself_many_times_ends(load):
    """Each of 30 modules holds the next one twice, so that a walk without a limit takes 2**30 steps."""
    inner = module() + b"q\x00"
    for number in range(30):
        twice = b"}(" + text("a") + inner + text("b") + b"h" + bytes([number]) + b"u"
        inner = module(modules=twice) + b"q" + bytes([number + 1])
    with pytest.raises(InputError, match="more than 100,000 objects"):
        load(checkpoint(opcodes(inner)))


def test_a_tuple_is_no_key_because_its_hash_may_take_forever(load):
    doubled = b")q\x00" + b"".join(b"h%ch%c\x86q%c" % (k, k, k + 1) for k in range(60))
    pickled = state(tensor())[:-2] + doubled + b"Nu."
    np.testing.assert_array_equal(load(checkpoint(pickled)).weights["dense/bias"], [0, 1])


def test_buffers_that_a_state_dict_leaves_out_are_left_out(load):
    """Protocol 2 writes a set as a call of `set` with a list."""
    left_out = b"c__builtin__\nset\n(](" + text("mask") + b"etR"
    attributes = items(_parameters=b"}", _buffers=items(mask=tensor()), _modules=items(fc=LINEAR))
    outer = b"cgone\nModel\n)\x81" + attributes[:-1] + text("_non_persistent_buffers_set") + left_out + b"ub"
    assert set(load(checkpoint(opcodes(outer))).weights) == {"dense/kernel", "dense/bias"}
