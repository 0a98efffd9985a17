"""Every example of the documents runs, is short, and prints the recorded output, digits aside."""

import importlib.util
import pathlib

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs"
LINES = 56
NEEDS = {
    "own_model": ("jax", "keras", "torch"),
    "portable_layers": ("jax", "keras"),
    "report": ("jax", "keras", "torch"),
    "same_dropout": ("jax", "keras", "tensorflow", "torch"),
    "scan_training": ("jax",),
    "two_devices": ("jax",),
    "test_my_model": ("jax",),
    "names": ("faker", "jax", "keras", "matplotlib", "tensorflow", "torch"),
    "speakers": ("jax", "keras", "matplotlib", "sktime", "tensorflow", "torch"),
    "temperatures": ("jax", "keras", "matplotlib", "tensorflow", "torch", "vega_datasets"),
}


def load(name):
    """Return a module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


record = load("record")


@pytest.mark.parametrize("name", record.NAMES)
def test_an_example_prints_the_recorded_output(name, tmp_path):
    missing = [module for module in NEEDS.get(name, ()) if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    recorded = (record.OUTPUT / f"{name}.txt").read_text(encoding="utf-8")
    assert record.without_digits(record.run(name, tmp_path)) == record.without_digits(recorded), (
        f"if the new output is right, run: python docs/record.py {name}"
    )


@pytest.mark.parametrize("name", record.NAMES)
def test_an_example_is_short_and_shown(name):
    assert len((DOCS / "examples" / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= LINES
    shown = (DOCS / "examples" / "index.md").read_text(encoding="utf-8")
    assert f"{{literalinclude}} {name}.py" in shown
    assert f"{{literalinclude}} output/{name}.txt" in shown


def test_every_recorded_output_has_its_example():
    assert sorted(path.stem for path in record.OUTPUT.glob("*.txt")) == record.NAMES


def test_the_recorded_losses_are_the_same_on_three_backends():
    lines = (record.OUTPUT / "same_dropout.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in lines] == ["tensorflow", "jax", "torch"]
    assert len({tuple(line.split()[1:]) for line in lines}) == 1


def test_another_word_in_an_output_is_seen_and_another_digit_is_not():
    assert record.without_digits("actual 0.81 at [0, 1]") == record.without_digits("actual  0.82 at [0, 2]")
    assert record.without_digits("gate f") != record.without_digits("gate c")


def test_the_picture_is_drawn_by_its_program():
    figure = load("figure")
    assert figure.PATH.read_text(encoding="utf-8") == figure.draw()
