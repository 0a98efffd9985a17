"""Runs reproducers one after the other in this process, and writes what each printed and its exit status as JSON.

    KERAS_BACKEND=jax python parity/reproduce.py OUT.json stateful_state_is_lost ...
    KERAS_BACKEND=jax python parity/reproduce.py OUT.json portable:stateful_state_is_lost ...

After `portable:` it finds the classes of multilstm.keras_layers in place of Keras's own, and true float64.
TensorFlow takes seconds to import, so that it is imported once. Between two reproducers Keras's global settings are
put back; those that leave something else behind are to be run alone.
"""

import contextlib
import io
import json
import pathlib
import runpy
import sys
import time
import traceback

FOLDER = pathlib.Path(__file__).parent / "reproducers"


def run(name):
    """What a reproducer printed, its exit status (None where it raised), and the seconds that it took."""
    printed, start = io.StringIO(), time.perf_counter()
    status = None
    try:
        with contextlib.redirect_stdout(printed):
            runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    except SystemExit as end:
        status = end.code
    except Exception:
        printed.write(traceback.format_exc())
    return {
        "status": None if status is None else int(bool(status)),
        "printed": printed.getvalue(),
        "seconds": time.perf_counter() - start,
    }


@contextlib.contextmanager
def portable(name):
    """Everything of multilstm.keras_layers stands in the place of Keras's own of that name."""
    import keras

    from multilstm import keras_layers

    modules = (keras.layers, keras.losses, keras.optimizers, keras.regularizers)
    own = [(module, each, getattr(module, each)) for module in modules for each in dir(module)
           if each in keras_layers.__all__]  # fmt: skip
    for module, each, _ in own:
        setattr(module, each, getattr(keras_layers, each))
    if "float64" in (FOLDER / f"{name}.py").read_text(encoding="utf-8"):
        keras_layers.enable_float64()
    yield
    for module, each, plain in own:
        setattr(module, each, plain)


def put_back():
    """Keras's dtypes, and JAX's, as they are in a fresh process."""
    if keras := sys.modules.get("keras"):
        from keras.src.backend.common import dtypes

        stock = "float64" if keras.backend.backend() == "tensorflow" else "float32"
        dtypes.BIT64_TO_BIT32_DTYPE["float64"] = stock
        keras.backend.clear_session(free_memory=False)  # collecting garbage takes 0.2 to 0.4 s
        keras.config.set_floatx("float32")
    if jax := sys.modules.get("jax"):
        jax.config.update("jax_enable_x64", False)


def main(out, *names):
    """Runs the reproducers, and writes what came of them."""
    found = {}
    for given in names:
        name = given.removeprefix("portable:")
        with portable(name) if name != given else contextlib.nullcontext():
            found[given] = run(name)
        put_back()
    pathlib.Path(out).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
