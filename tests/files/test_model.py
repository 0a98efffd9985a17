"""The model behind a name: a file whatever it is called, or a function of a module, that cannot end the program."""

import os

import pytest

from multilstm import initial_weights, save_weights
from multilstm.errors import InputError, SpecError, UsageError
from multilstm.files import load_model
from multilstm.spec import LSTM, Sequential

SPEC = Sequential([LSTM(2)], input_shape=(None, 3))
FUNCTIONS = """
import os
import sys
from multilstm import LSTM, Sequential

def good(): return Sequential([LSTM(2)], input_shape=(None, 3))
def number(): return 3
def raises(): raise RuntimeError("no luck")
def exits(): sys.exit()
def exits_with_0(): sys.exit(0)
def exits_with_text(): sys.exit("bye")
def exits_at_once(): os._exit(0)
def exits_by_name(): os._exit(status=0)
def becomes_another(): os.execv("/bin/true", ["true"])
def becomes_another_of_the_path(): os.execlp("true", "true")
def leaves_a_forked_process():
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return good()
def recursive(): return recursive()
def changes_path():
    sys.path.remove("")
    return good()
"""


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    (tmp_path / "functions_for_test_model.py").write_text(FUNCTIONS)
    (tmp_path / "exits_at_once_for_test_model.py").write_text("from os import _exit\n_exit(0)")
    (tmp_path / "exits_for_test_model.py").write_text("raise SystemExit(0)")
    return tmp_path


@pytest.mark.parametrize("name", ["model.json", "module:function", "sys:exit", "a:b.json", "model"])
def test_an_existing_path_is_a_file(models, name):
    (models / name).write_text(SPEC.to_json())
    assert load_model(name).spec == SPEC


def test_a_byte_order_mark_is_skipped(models):
    (models / "model.json").write_text(SPEC.to_json(), encoding="utf-8-sig")
    assert load_model("model.json").spec == SPEC


@pytest.mark.parametrize("name", ["good", "changes_path"])
def test_calls_a_function_of_a_module(name):
    assert load_model(f"functions_for_test_model:{name}").spec == SPEC


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "functions_for_test_model:number",
            "it returned int, expected a Model or Sequential of multilstm or Keras",
        ),
        ("functions_for_test_model.py:number", "is not a package; give 'functions_for_test_model:number'"),
        ("functions_for_test_model:raises", "RuntimeError: no luck"),
        ("functions_for_test_model:exits", "it exits with None, expected a Model or Sequential"),
        ("functions_for_test_model:exits_with_0", "it exits with 0"),
        ("functions_for_test_model:exits_with_text", "it exits with 'bye'"),
        ("functions_for_test_model:exits_at_once", r"it exits with 'os._exit\(0\)'"),
        ("functions_for_test_model:exits_by_name", r"it exits with 'os._exit\(status=0\)'"),
        ("functions_for_test_model:becomes_another", r"it exits with .*os.execv\('/bin/true'\)"),
        ("functions_for_test_model:becomes_another_of_the_path", r"it exits with .*os.execv"),
        ("exits_at_once_for_test_model:anything", r"it exits with 'os._exit\(0\)'"),
        ("functions_for_test_model:recursive", "RecursionError"),
        ("functions_for_test_model:missing", "AttributeError"),
        ("exits_for_test_model:anything", "it exits with 0"),
        ("sys:exit", "it exits with None"),
        ("missing_for_test_model:f", "ModuleNotFoundError"),
    ],
)
def test_a_function_that_gives_no_model_is_bad_input(name, message):
    with pytest.raises(InputError, match=message) as raised:
        load_model(name)
    assert raised.value.exit_code == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows forks no process")
@pytest.mark.filterwarnings("ignore:os.fork")  # where an earlier test of the process has imported JAX
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_function_may_fork_a_process_that_exits_at_once():
    true = os._exit
    assert load_model("functions_for_test_model:leaves_a_forked_process").spec == SPEC
    assert os._exit is true


@pytest.mark.parametrize("name", ["", "model", ":", "module:", ":function", "n" * 5000, "null\0"], ids=lambda n: n[:9])
def test_refuses_a_name_of_neither_file_nor_function(name):
    with pytest.raises(UsageError, match=r"expected a model file .* or module:function"):
        load_model(name)


@pytest.mark.parametrize("name", ["model.keras", "folder/model.h5", "../model.pt"])
def test_a_missing_file_is_named(name):
    with pytest.raises(InputError, match=f"cannot read '{name}': there is no such file"):
        load_model(name)


@pytest.mark.parametrize("content", [b"\xff\x00\x00", b"\x80"])
def test_refuses_a_file_of_no_known_format(models, content):
    (models / "model.json").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read 'model.json': .* no model file .*; expected Keras's .keras"):
        load_model("model.json")


def test_names_the_class_that_the_json_lacks(models):
    (models / "model.json").write_text('{"config": {}}')
    with pytest.raises(SpecError, match="unknown class None"):
        load_model("model.json")


@pytest.mark.parametrize("content", ["{}", '{"weights": [1.0]}', "[1, 2]", "3", '"text"', "null"])
def test_names_json_that_is_no_model(models, content):
    (models / "model.json").write_text(content)
    with pytest.raises(InputError, match=r"no model of Keras|this is JSON of|this is not JSON|no model file"):
        load_model("model.json")


def test_a_function_gives_the_architecture_of_weights(models):
    weights = initial_weights(SPEC)
    save_weights("w", SPEC, weights)
    loaded = load_model("functions_for_test_model:good", weights="w")
    assert loaded.spec == SPEC
    assert loaded.weights.keys() == weights.keys()
    with pytest.raises(UsageError, match="leave --architecture out"):
        load_model("functions_for_test_model:good", architecture="w")
