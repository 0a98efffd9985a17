"""Files of arrays: three formats by content, and hostile files in words."""

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multilstm.errors import InputError
from multilstm.files.arrays import read_arrays, write_arrays
from multilstm.files.tensors import read_tensors, write_tensors

ARRAYS = {
    "x": np.arange(12, dtype=np.float32).reshape(2, 3, 2),
    "tokens": np.array([[1, 2], [3, -4]], np.int64),
    "mask": np.array([True, False]),
}


def savez(path, **arrays):
    with open(path, "wb") as stream:
        np.savez(stream, **arrays)


def savez_compressed(path, **arrays):
    with open(path, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def safetensors(path, **arrays):
    write_tensors(path, arrays)


def test_writes_a_file_of_numpy(tmp_path):
    arrays = {"file": ARRAYS["x"], "hidden:b/forward@0": ARRAYS["mask"], "tokens": np.asfortranarray(ARRAYS["tokens"])}
    write_arrays(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz") as theirs:
        for found in (theirs, read_arrays(tmp_path / "a.npz")):
            assert list(found) == list(arrays)
            for name, array in arrays.items():
                np.testing.assert_array_equal(found[name], array, strict=True)


def test_writes_safetensors_under_other_names(tmp_path):
    write_arrays(tmp_path / "a.bin", ARRAYS)
    assert read_tensors(tmp_path / "a.bin")[0].keys() == ARRAYS.keys()


def test_an_only_array_without_a_name_is_that_of_a_npy_file(tmp_path):
    np.savez(tmp_path / "a.npz", ARRAYS["x"])
    np.savez(tmp_path / "b.npz", ARRAYS["x"], y=ARRAYS["mask"])
    assert list(read_arrays(tmp_path / "a.npz")) == [""]
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npz")[""], ARRAYS["x"], strict=True)
    assert sorted(read_arrays(tmp_path / "b.npz")) == ["arr_0", "y"]


def test_writes_no_npy(tmp_path):
    with pytest.raises(InputError, match=r"a\.npy.* has no names of arrays; use \.npz or \.safetensors"):
        write_arrays(tmp_path / "a.npy", ARRAYS)
    assert not list(tmp_path.iterdir())


def test_an_array_that_the_directory_hides_is_not_left_out(tmp_path):
    savez(tmp_path / "a", x=np.arange(3), y=np.arange(4))
    content = bytearray((tmp_path / "a").read_bytes())
    start, end = content.find(b"PK\x01\x02"), content.find(b"PK\x05\x06")
    content[start + 32 : start + 34] = (end - start - 46 - len("x.npy")).to_bytes(
        2, "little"
    )  # the length of a comment
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match="its directory has 1 members, its end states 2"):
        read_arrays(tmp_path / "a")


def test_a_broken_deflate_stream_is_refused(tmp_path):
    savez_compressed(tmp_path / "a", x=np.arange(300))
    content = bytearray((tmp_path / "a").read_bytes())
    content[60:80] = b"\xff" * 20
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=r"expected a file of numpy\.savez"):
        read_arrays(tmp_path / "a")


@pytest.mark.parametrize("write", [savez, savez_compressed, safetensors], ids=lambda write: write.__name__)
@pytest.mark.parametrize("name", ["arrays.npz", "arrays.safetensors", "arrays.txt"])
def test_the_content_decides_and_not_the_name(tmp_path, write, name):
    write(tmp_path / name, **ARRAYS)
    arrays = read_arrays(tmp_path / name)
    assert arrays.keys() == ARRAYS.keys()
    for key, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[key], array)
        assert arrays[key].dtype == array.dtype


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<i8", ">i2", "|b1", "<f2"])
def test_npy_keeps_values_order_and_dtype(tmp_path, order, dtype):
    array = np.asarray(np.arange(6).reshape(2, 3) % 5, dtype, order=order)
    with open(tmp_path / "x", "wb") as stream:
        np.save(stream, array)
    read = read_arrays(tmp_path / "x")[""]
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype.newbyteorder("=")


def test_every_array_can_be_written(tmp_path):
    write_tensors(tmp_path / "x", {"strided": np.arange(10, dtype=">f8")[::2]})
    np.testing.assert_array_equal(read_tensors(tmp_path / "x")[0]["strided"], [0, 2, 4, 6, 8])


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def archive(members, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return stream.getvalue()


def claiming(shape):
    header = f"'shape': {shape}, }}"
    return npy(np.zeros(3, np.float32)).replace(b"'shape': (3,), }".ljust(len(header)), header.encode())


@pytest.mark.parametrize("write", [savez, savez_compressed, safetensors], ids=lambda write: write.__name__)
def test_a_file_leaves_memory_for_copies_of_its_numbers(tmp_path, monkeypatch, write):
    write(tmp_path / "x", zeros=np.zeros(100_000, np.float32))
    monkeypatch.setattr("multilstm.files.regular.memory", lambda: 8 * 410_000)
    assert read_arrays(tmp_path / "x")["zeros"].size == 100_000
    monkeypatch.setattr("multilstm.files.regular.memory", lambda: 8 * 390_000)
    with pytest.raises(InputError, match="bytes, expected at most 390,000"):
        read_arrays(tmp_path / "x")


HOSTILE = {
    "empty": (b"", "expected a file of numpy.save"),
    "text": (b"not found", "expected a file of numpy.save"),
    "page": (b"\n<!DOCTYPE html>not found", "cannot read .*this is a web page"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1", "cannot read .*this is a git-lfs pointer"),
    "pickle": (pickle.dumps([1]), "expected a file of numpy.save"),
    "object array": (npy(np.array([{}], object)), "objects are never read"),
    "text array": (npy(np.array(["a"])), "expected numbers"),
    "complex array": (npy(np.array([1j])), "expected numbers"),
    "shape bomb": (claiming("(10**9, 10**9)"), "cannot read"),
    "large shape": (claiming("(99999999999,)"), "needs 399,999,999,996 bytes, given 12"),
    "negative shape": (claiming("(-3,)"), "needs"),
    "code in the header": (claiming("(__import__('os').getpid(),)"), "expected a file of numpy.save"),
    "truncated npy": (npy(np.zeros(9))[:-1], "given 71"),
    "truncated zip": (archive([("x.npy", npy(np.zeros(9)))])[:-30], "cannot read"),
    "another member": (archive([("x.txt", b"")]), "expected arrays of numpy.savez"),
    "bzip2": (archive([("x.npy", npy(np.zeros(9)))], zipfile.ZIP_BZIP2), "expected arrays of numpy.savez"),
    "object in a zip": (archive([("x.npy", npy(np.array([None])))]), "objects are never read"),
    "control characters": (archive([("\x1b[31m.txt", b"")]), r"\\x1b"),
}


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_in_words(tmp_path, content, message):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_arrays(tmp_path / "x")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_a_zip_gives_twice_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(archive([("x.npy", npy(np.zeros(9))), ("x.npy", npy(np.ones(9)))]))
    with pytest.raises(InputError, match="gives 'x' twice"):
        read_arrays(tmp_path / "x")


VALID = [npy(np.arange(6.0).reshape(2, 3)), archive([("x.npy", npy(np.arange(4, dtype=np.float32)))])]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(VALID), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_mutated_file_is_read_or_refused(tmp_path, content, changes):
    mutated = bytearray(content)
    for place, byte in changes:
        mutated[place % len(mutated)] = byte
    (tmp_path / "x").write_bytes(mutated)
    try:
        arrays = read_arrays(tmp_path / "x")
    except InputError:
        return
    assert all(array.dtype.kind in "fiub" for array in arrays.values())
