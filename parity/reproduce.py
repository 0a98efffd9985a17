"""Runs reproducers in one process, and writes the output and exit status of each as JSON.

    KERAS_BACKEND=jax python parity/reproduce.py OUT.json stateful_state_is_lost ...
    KERAS_BACKEND=jax python parity/reproduce.py OUT.json portable:stateful_state_is_lost ...

With `portable:` a reproducer gets the classes of multilstm.keras_layers instead of Keras's own, and true float64.
One process serves all, since TensorFlow takes seconds to import. Keras's global settings are restored after each
reproducer. One that changes more must run alone.
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
    """Return the output of a reproducer, its exit status (None if it raised an error) and its seconds."""
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
    """Replace Keras's classes by those of multilstm.keras_layers with the same names."""
    import keras

    from multilstm import keras_layers

    modules = (keras.layers, keras.losses, keras.optimizers, keras.regularizers)
    replaced = [
        (module, attribute, getattr(module, attribute))
        for module in modules
        for attribute in dir(module)
        if attribute in keras_layers.__all__
    ]
    for module, attribute, _ in replaced:
        setattr(module, attribute, getattr(keras_layers, attribute))
    if "float64" in (FOLDER / f"{name}.py").read_text(encoding="utf-8"):
        keras_layers.enable_float64()
    yield
    for module, attribute, plain in replaced:
        setattr(module, attribute, plain)


def restore():
    """Restore the dtypes of Keras and JAX to those of a fresh process."""
    if keras := sys.modules.get("keras"):
        from keras.src.backend.common import dtypes

        stock = "float64" if keras.backend.backend() == "tensorflow" else "float32"
        dtypes.BIT64_TO_BIT32_DTYPE["float64"] = stock
        keras.backend.clear_session(free_memory=False)  # collecting garbage takes 0.2 to 0.4 s
        keras.config.set_floatx("float32")
    if jax := sys.modules.get("jax"):
        jax.config.update("jax_enable_x64", False)


def main(out, *names):
    """Run the reproducers, and write the results."""
    results = {}
    for label in names:
        name = label.removeprefix("portable:")
        with portable(name) if name != label else contextlib.nullcontext():
            results[label] = run(name)
        restore()
    pathlib.Path(out).write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
