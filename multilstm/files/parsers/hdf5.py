"""HDF5 files of Keras: every object is checked before a byte of its data is read.

Only hard links are followed, and cycles of them end. Data in other files is refused: external storage, virtual datasets
and external links. So are filters beyond those built into HDF5, for which libhdf5 would search folders for a plugin.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5f, h5o, h5z

from multilstm.errors import InputError, listed, shown
from multilstm.files.parsers.parsed import Budget, Parsed, as_plain, bfloat16_to_float32, check_name
from multilstm.spec.arrays import Array

__all__ = ["Hdf5", "parse"]

FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
DEPTH_LIMIT = 32
TEXT_LIMIT = 32 * 2**20  # bytes of one attribute
ATTRIBUTES = ("keras_version", "backend", "model_config", "training_config")
TREES = ("layers", "_layer_checkpoint_dependencies")


def parse(content: bytes) -> Parsed:
    """Return the weights, and the configuration where it is there, of an HDF5 file of Keras.

    The document has these entries, each where the file has it:

    - `attributes`: those of `ATTRIBUTES`, as text;
    - `layers`, in the legacy format: `[layer, [[weight, array], ...]]`;
    - `tree`, in Keras 3's format: `[path, array]`;
    - `other`, in a file of neither format: `[path, shape]`;
    - `optimizer`: `[name, array]`.
    """
    return Hdf5(content, Budget(len(content))).parsed()


class Hdf5:
    """One HDF5 file in memory.

    Args:
        content: the bytes of the file.
        budget: the limits.
    """

    def __init__(self, content: bytes, budget: Budget) -> None:
        self.budget = budget
        self.arrays: list[Array] = []
        try:
            self.root = h5py.File(h5f.open_file_image(content), "r")
        except (OSError, ValueError) as error:
            raise InputError(f"it is no HDF5, or incomplete ({error}); copy or download the file again") from None

    def parsed(self) -> Parsed:
        """Return the content: see `parse`."""
        attributes = {name: text for name in ATTRIBUTES if (text := self._text(self.root, name)) is not None}
        document: dict[str, Any] = {"attributes": attributes}
        legacy = self._child(self.root, "model_weights", "/")
        legacy = self.root if legacy is None else legacy
        if isinstance(legacy, h5py.Group) and self._has_names(legacy, "layer_names"):
            for name in ("keras_version", "backend"):  # some versions put them there
                if name not in attributes and (text := self._text(legacy, name)) is not None:
                    attributes[name] = text
            document["layers"] = self._layers(legacy)
            self._check_own_weights(legacy)
            optimizer = self._child(self.root, "optimizer_weights", "/")
            if isinstance(optimizer, h5py.Group):
                document["optimizer"] = self._weights(optimizer, "optimizer_weights")
            return Parsed(document, tuple(self.arrays))
        found = list(self._walk(self.root, "", {self._address(self.root)}, 0))
        if any(path.split("/")[0] in TREES or "vars" in path.split("/")[:-1] for path, _ in found):
            numbered: list[tuple[str, int]] = [(path, self._read(dataset, path)) for path, dataset in found]
            document["tree"] = [item for item in numbered if not item[0].startswith("optimizer/")]
            optimizer_vars = [item for item in numbered if item[0].startswith("optimizer/")]
            if optimizer_vars:
                document["optimizer"] = optimizer_vars
        else:
            document["other"] = [[path, list(dataset.shape or ())] for path, dataset in found[:100]]
        return Parsed(document, tuple(self.arrays))

    def _layers(self, group: h5py.Group) -> list[Any]:
        layers = []
        for name in self._names(group, "layer_names", "/"):
            child = self._follow(group, name)
            if not isinstance(child, h5py.Group):
                raise InputError(f"layer {shown(name)} is in layer_names, but the file has no group of that name")
            layers.append([name, self._weights(child, name)])
        return layers

    def _check_own_weights(self, legacy: h5py.Group) -> None:
        """Raise InputError for weights of the model itself, which tf.keras keeps apart from those of its layers."""
        group = self._child(legacy, "top_level_model_weights", "/")
        names = self._names(group, "weight_names", "/") if isinstance(group, h5py.Group) else []
        if names:
            raise InputError(
                f"the model has weights of its own, {listed(map(shown, names))}, which no layer computes with; "
                f"expected the weights of layers alone"
            )

    def _weights(self, group: h5py.Group, where: str) -> list[Any]:
        weights = []
        for name in self._names(group, "weight_names", where):
            dataset = self._follow(group, name)
            if not isinstance(dataset, h5py.Dataset):
                raise InputError(f"{where}: the weight {shown(name)} is in weight_names, but the file has no such data")
            weights.append([name, self._read(dataset, f"{where}: {name}")])
        return weights

    def _walk(self, group: h5py.Group, path: str, seen: set[Any], depth: int) -> Iterator[tuple[str, h5py.Dataset]]:
        """Yield the path of every dataset below a group, and the dataset; each group has one name in Keras's files."""
        if depth > DEPTH_LIMIT:
            raise InputError(f"{shown(path)}: groups are nested more than {DEPTH_LIMIT} deep; expected Keras's weights")
        for name in group:
            inner = f"{path}/{name}" if path else name
            child = self._child(group, name, path or "/")
            if isinstance(child, h5py.Dataset):
                yield inner, child
            elif isinstance(child, h5py.Group):
                address = self._address(child)
                if address in seen:
                    raise InputError(
                        f"group {shown(inner)} contains itself or has two names; the file is broken, or made to mislead"
                    )
                seen.add(address)
                yield from self._walk(child, inner, seen, depth + 1)

    def _follow(self, group: h5py.Group, path: str) -> Any:
        """Return the object at a path of hard links; None where it does not exist."""
        found: Any = group
        for name in filter(None, path.split("/")):
            if not isinstance(found, h5py.Group):
                return None
            found = self._child(found, name, path)
        return found

    def _child(self, group: h5py.Group, name: str, where: str) -> Any:
        """Return the object of that name in a group; None where it does not exist."""
        if name in (".", "..") or (link := group.get(name, getlink=True)) is None:
            return None
        self.budget.count()
        check_name(name, where)
        if not isinstance(link, h5py.HardLink):
            kind = {h5py.SoftLink: "a soft link", h5py.ExternalLink: "a link to another file"}.get(type(link), "a link")
            raise InputError(
                f"{shown(where)}: {shown(name)} is {kind}; expected data inside of the file; save the model again"
            )
        return group[name]

    def _read(self, dataset: h5py.Dataset, where: str) -> int:
        """Check a dataset, read it, and return the number of its array."""
        where = f"data {shown(where)}"
        properties = dataset.id.get_create_plist()
        if properties.get_external_count() or properties.get_layout() == h5d.VIRTUAL:
            raise InputError(f"{where}: its numbers lie in another file; expected data inside of the file")
        filters = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
        if not set(filters) <= FILTERS:
            raise InputError(f"{where}: it is packed with the filters {filters}; expected gzip, shuffle or none")
        if dataset.shape is None:
            raise InputError(f"{where}: it is empty; expected numbers")
        dtype, bfloat = self._dtype(dataset, where)
        self.budget.take_array(where, dataset.shape, dtype)
        if dataset.size and not dataset.id.get_storage_size():
            raise InputError(f"{where}: it claims the shape {dataset.shape}, but the file holds no numbers for it")
        values = dataset[()]
        values = bfloat16_to_float32(np.asarray(values).view(np.uint16)) if bfloat else values
        self.arrays.append(as_plain(np.asarray(values)))
        return len(self.arrays) - 1

    def _dtype(self, dataset: h5py.Dataset, where: str) -> tuple[np.dtype[Any], bool]:
        """Return the dtype of the numbers, and whether they are bfloat16, which HDF5 holds as two opaque bytes."""
        try:
            dtype = dataset.dtype
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: its dtype cannot be read ({error}); expected float32") from None
        if dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None:
            return np.dtype(np.uint16), True
        return dtype, False

    def _has_names(self, group: h5py.Group, key: str) -> bool:
        return key in group.attrs or f"{key}0" in group.attrs

    def _names(self, group: h5py.Group, key: str, where: str) -> list[str]:
        """Return a list of names, which Keras splits into `key0`, `key1`, ... where it is long."""
        keys = (
            [key]
            if key in group.attrs
            else itertools.takewhile(lambda part: part in group.attrs, (f"{key}{number}" for number in range(100_000)))
        )
        names = []
        for part in keys:
            for value in np.ravel(self._attribute(group, part, where)):
                self.budget.count()
                names.append(check_name(_decoded(value, f"{where}: {part}"), where))
        if len(set(names)) < len(names):
            twice = sorted(name for name in set(names) if names.count(name) > 1)
            raise InputError(f"{where}: {key} gives names twice: {listed(map(shown, twice))}")
        return names

    def _text(self, group: h5py.Group, key: str) -> str | None:
        if key not in group.attrs:
            return None
        value = np.asarray(self._attribute(group, key, "/"))
        if value.ndim or value.size != 1:
            raise InputError(f"attribute {key}: given an array of shape {value.shape}, expected text")
        return _decoded(value[()], f"attribute {key}")

    def _attribute(self, group: h5py.Group, key: str, where: str) -> Any:
        attribute = group.attrs.get_id(key)
        where = f"{where}: attribute {key}"
        if attribute.shape is None or len(attribute.shape) > 1:
            raise InputError(f"{where}: expected text, or a list of names")
        if attribute.dtype.kind not in "OSU" and attribute.shape != (0,):  # an empty list is written as float64
            raise InputError(f"{where}: dtype is {attribute.dtype}, expected text")
        size = int(np.prod(attribute.shape, dtype=np.float64)) * attribute.dtype.itemsize
        if size > TEXT_LIMIT:
            raise InputError(f"{where}: it has {size:,} bytes, expected at most {TEXT_LIMIT:,}")
        self.budget.take(where, size)
        return group.attrs[key]

    @staticmethod
    def _address(group: h5py.Group) -> Any:
        return h5o.get_info(group.id).addr


def _decoded(value: Any, where: str) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{where}: it is no UTF-8 text; the file is broken") from None
    if not isinstance(value, str):
        raise InputError(f"{where}: given {shown(value)}, expected text")
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
