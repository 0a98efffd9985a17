"""Hostile HDF5 files: refused with the reason before their data are read."""

import h5py
import numpy as np
import pytest
from written_files import SPEC, by_layer, hdf5, legacy, tree, weights_of

import multilstm
from multilstm.errors import InputError

pytestmark = pytest.mark.usefixtures("parse_here")
WEIGHTS = weights_of(SPEC)
BIAS = "layers/dense/vars/1"
KERNEL = "layers/lstm/cell/vars/0"


@pytest.fixture
def load(tmp_path):
    def loaded(write):
        (tmp_path / "weights.h5").write_bytes(write if isinstance(write, bytes) else hdf5(write))
        return multilstm.load(tmp_path / "weights.h5", architecture=SPEC)

    return loaded


def instead(path, write):
    """Return a function that writes good weights, and lets `write(file, path)` replace one object."""

    def written(file):
        tree(SPEC, WEIGHTS)(file)
        del file[path]
        write(file, path)

    return written


def link(kind, *arguments):
    def write(file, path):
        file[path] = kind(*arguments)

    return write


def dataset(**options):
    return lambda file, path: file.create_dataset(path, **options)


def hard_cycle(file, path):
    file[path] = file["layers"]


def diamonds(file, path):
    """Groups of two names each, so that the number of paths doubles with every level."""
    group = file.create_group(path)
    for _ in range(18):
        group.create_group("a")
        group["b"] = group["a"]
        group = group["a"]


def virtual(file, path):
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "data", (2,))
    file.create_virtual_dataset(path, layout)


def unknown_filter(file, path):
    space, properties = h5py.h5s.create_simple((2,)), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((2,))
    properties.set_filter(32001, h5py.h5z.FLAG_OPTIONAL)  # Blosc, which libhdf5 would look for in its plugin folder
    parent, _, name = path.rpartition("/")
    h5py.h5d.create(file[parent].id, name.encode(), h5py.h5t.IEEE_F32LE, space, properties)


ABOVE_64_BITS = (2**31, 2**31, 2**31)
HOSTILE = {
    "external_link": (instead(BIAS, link(h5py.ExternalLink, "/etc/passwd", "/x")), "'1' is a link to another file"),
    "soft_link": (instead(BIAS, link(h5py.SoftLink, "/" + KERNEL)), "'1' is a soft link"),
    "soft_link_to_itself": (instead(BIAS, link(h5py.SoftLink, "/" + BIAS)), "'1' is a soft link"),
    "dangling_link": (instead(BIAS, link(h5py.SoftLink, "/nothing")), "'1' is a soft link"),
    "link_on_the_way": (instead("layers/dense", link(h5py.ExternalLink, "/etc/passwd", "/x")), "'dense' is a link to"),
    "hard_link_cycle": (instead("layers/dense", hard_cycle), "contains itself"),
    "groups_of_two_names": (instead("layers/dense", diamonds), "or has two names"),
    "external_storage": (
        instead(BIAS, dataset(shape=(2,), dtype="f4", external=[("/etc/passwd", 0, 8)])), "lie in another file",
    ),
    "virtual_dataset": (instead(BIAS, virtual), "lie in another file"),
    "shape_bomb": (
        instead(BIAS, dataset(shape=(2**20, 2**20), dtype="f4", chunks=(1, 1))), "claims 4,398,046,511,104 bytes",
    ),
    "more_than_64_bits": (
        instead(BIAS, dataset(shape=ABOVE_64_BITS, dtype="f8", chunks=(1, 1, 1))), "claims 79,228,162,514,264,337,593,",
    ),
    "no_numbers": (instead(BIAS, dataset(shape=(2,), dtype="f4", chunks=(2,))), "the file holds no numbers for it"),
    "empty": (instead(BIAS, dataset(data=h5py.Empty("f4"))), "it is empty"),
    "many_axes": (instead(BIAS, dataset(data=np.zeros((1,) * 9, "f4"))), "it has 9 axes"),
    "text": (instead(BIAS, dataset(data="text")), "dtype is 'object'"),
    "bytes": (instead(BIAS, dataset(data=np.array([b"ab"]))), "dtype is .*S2"),
    "lengths_vary": (
        instead(BIAS, dataset(shape=(1,), dtype=h5py.vlen_dtype(np.float32))), "dtype is 'object'",
    ),
    "reference": (instead(BIAS, dataset(shape=(1,), dtype=h5py.ref_dtype)), "dtype is 'object'"),
    "compound": (instead(BIAS, dataset(data=np.zeros(2, "f4,f4"))), "dtype is .*f0"),
    "opaque": (instead(BIAS, dataset(data=np.zeros(2, "V4"))), "dtype is .*V4"),
    "complex": (instead(BIAS, dataset(data=np.zeros(2, "c8"))), "dtype is 'complex64'"),
    "long_double": (instead(BIAS, dataset(data=np.zeros(2, np.longdouble))), "dtype is 'float128'"),
    "unknown_filter": (instead(BIAS, unknown_filter), r"packed with the filters \[32001\]; expected gzip"),
    "lzf_filter": (instead(BIAS, dataset(data=np.zeros(2, "f4"), compression="lzf")), r"filters \[32000\]"),
    "gzip_bomb": (
        instead(BIAS, dataset(data=np.zeros(2**25, "f4"), compression="gzip", compression_opts=9)),
        "claims 134,217,728",
    ),
    "deep_groups": (instead(BIAS, lambda file, path: file.create_group("layers" + "/a" * 40)), "more than 32 deep"),
    "long_name": (instead(BIAS, lambda file, path: file.create_group("layers/" + "n" * 1001)), "a name has 1,001"),
    "many_objects": (
        instead(BIAS, lambda file, path: [file["layers"].create_group(str(k)) for k in range(300)]),
        "more than 200 objects",
    ),
    "other_data": (lambda file: file.create_dataset("table", data=[1.0]), "not a model of Keras.*it holds table"),
    "other_data_behind_a_link": (
        lambda file: file.__setitem__("table", h5py.ExternalLink("/etc/passwd", "/x")),
        "'table' is a link to another file",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("write", "message"), HOSTILE.values(), ids=HOSTILE)
def test_refuses_hostile_weights(load, monkeypatch, request, write, message):
    if "many_objects" in request.node.name:
        monkeypatch.setattr("multilstm.files.parsers.parsed.OBJECT_LIMIT", 200)
    with pytest.raises(InputError, match=message):
        load(write)


LAYERS = by_layer(SPEC, WEIGHTS)


def attribute(name, value, layer=None):
    def write(file):
        legacy(LAYERS)(file)
        (file if layer is None else file[layer]).attrs[name] = value

    return write


def relinked(kind):
    def write(file):
        legacy(LAYERS)(file)
        del file["head"]
        file["head"] = kind

    return write


LEGACY = {
    "layer_names_twice": (attribute("layer_names", [b"head", b"head"]), "gives names twice: 'head'"),
    "layer_without_a_group": (attribute("layer_names", [b"head", b"nowhere"]), "no group of that name"),
    "weight_without_data": (attribute("weight_names", [b"nothing"], "head"), "has no such data"),
    "weight_is_a_group": (attribute("weight_names", [b"../both"], "head"), "has no such data"),
    "names_are_numbers": (attribute("layer_names", [1.0, 2.0]), "dtype is float64, expected text"),
    "names_are_a_matrix": (attribute("layer_names", [[b"a"], [b"b"]]), "expected text, or a list of names"),
    "names_are_empty": (attribute("layer_names", h5py.Empty("f4")), "expected text, or a list of names"),
    "names_are_no_text": (attribute("layer_names", [b"\xff"]), "no group of that name"),
    "long_names": (attribute("layer_names", [b"n" * 1001]), "a name has 1,001 characters"),
    "config_is_a_list": (attribute("model_config", [b"{", b"}"]), r"given an array of shape \(2,\), expected text"),
    "group_is_a_link": (relinked(h5py.ExternalLink("/etc/passwd", "/x")), "'head' is a link to another file"),
    "group_is_a_soft_link": (relinked(h5py.SoftLink("/lower")), "'head' is a soft link"),
}


@pytest.mark.parametrize(("write", "message"), LEGACY.values(), ids=LEGACY)
def test_refuses_hostile_lists_of_layers(load, write, message):
    with pytest.raises(InputError, match=message):
        load(write)


def test_a_path_does_not_lead_out_of_its_group(load):
    def write(file):
        legacy(LAYERS)(file)
        file["head"].attrs["weight_names"] = [b"../lower/lower/9_kernel:0"]

    with pytest.raises(InputError, match="has no such data"):
        load(write)


def test_filters_of_hdf5_itself_are_read(load):
    def packed(file, path):
        options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
        file.create_dataset(path, data=WEIGHTS["head/bias"], chunks=(2,), **options)

    np.testing.assert_array_equal(load(instead(BIAS, packed)).weights["head/bias"], WEIGHTS["head/bias"])
