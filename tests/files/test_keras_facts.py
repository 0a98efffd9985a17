"""Keras's answers about its own layers depend on no file of the user, and write none."""

import json

from marks import needs

from multilstm.files.keras_facts import KerasFacts
from multilstm.spec.keras_json_opaque import Question


@needs("keras-jax")
def test_the_keras_json_of_the_user_is_neither_read_nor_written(tmp_path, monkeypatch):
    home = tmp_path / "home"
    config = home / ".keras" / "keras.json"
    monkeypatch.setenv("HOME", str(home))
    question = Question("Conv3D", {"filters": 2, "kernel_size": 3}, [(None, 8, 9, 10, 4)], False, {})
    with KerasFacts() as keras:
        plain = keras.ask(question)
    assert not home.exists()
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"image_data_format": "channels_first"}))
    with KerasFacts() as keras:
        assert keras.ask(question) == plain
