"""A YAML file with the line of every value, so that whatever is wrong in it is named as `file:line`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from roundtrip.contracts.errors import BadDefinition
from roundtrip.contracts.settings import REPOSITORY

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Way = Sequence[str | int]
"""How a value is reached from the top of the file: names of members, places in lists."""
Declared = TypeVar("Declared", bound="DataclassInstance")


@dataclass(frozen=True)
class YamlFile:
    """A file's content, and where in it each value stands. `name` is how messages call the file."""

    name: str
    value: object
    node: yaml.Node | None

    @classmethod
    def read(cls, path: Path, *, root: Path = REPOSITORY) -> YamlFile:
        """Messages name it from `root` on. Raises BadDefinition for what is no UTF-8 or no YAML, or names a member twice."""
        name = str(path.relative_to(root) if path.is_relative_to(root) else path)
        try:
            return cls.parse(path.read_text(encoding="utf-8"), name=name)
        except UnicodeDecodeError as error:
            raise BadDefinition(f"{name}:1: is no UTF-8 ({error}): save it as UTF-8.") from None

    @classmethod
    def parse(cls, text: str, *, name: str) -> YamlFile:
        """The same of a text; `name` says where it came from."""
        try:
            loader = yaml.SafeLoader(text)
            node = loader.get_single_node()
            value = loader.construct_document(node) if node else None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise BadDefinition(f"{name}:{line}: is no YAML: {error.problem}. Quote what holds a colon or starts with a sign.") from None
        except yaml.YAMLError as error:
            raise BadDefinition(f"{name}:1: is no YAML: {error}.") from None
        file = cls(name, value, node)
        _refuse_doubled(node, name)
        return file

    def place(self, way: Way = ()) -> str:
        """`file:line` of the value, or of the nearest one around it."""
        node, line = self.node, 1
        for step in way:
            found = _inside(node, step)
            if found is None:
                break
            line, node = found
        return f"{self.name}:{line}"

    def mapping(self, way: Way = (), *, default: object = None) -> dict[str, object]:
        """The members of the mapping there; raises BadDefinition when something else is there."""
        value = self.at(way, default=default)
        if not isinstance(value, dict):
            raise BadDefinition(f"{self.place(way)}: {value!r} should be a mapping of names to values.")
        return {str(name): entry for name, entry in value.items()}

    def sequence(self, way: Way = ()) -> list[object]:
        """The entries of the list there, none when nothing is there; raises BadDefinition when something else is."""
        value = self.at(way, default=[])
        if not isinstance(value, list):
            raise BadDefinition(f"{self.place(way)}: {value!r} should be a list.")
        return value

    def at(self, way: Way, *, default: object = None) -> object:
        """The value there, `default` when there is none."""
        value = self.value
        for step in way:
            members = dict(enumerate(value)) if isinstance(value, list) else value
            if not isinstance(members, dict) or step not in members:
                return default
            value = members[step]
        return value

    def declared(self, kind: type[Declared], values: Mapping[str, object], *, way: Way = (), also: Mapping[str, object]) -> Declared:
        """A `kind` of `values`, which stand at `way`, and of what is known `also`.

        Raises BadDefinition for a value that is missing, unknown or of the wrong type.
        """
        known = ", ".join(field.name for field in fields(kind) if field.name not in also)
        for name in also.keys() & values.keys():
            raise BadDefinition(f"{self.place([*way, name])}: {name} is known already: leave it out. The fields are {known}.")
        try:
            return TypeAdapter(kind).validate_python({**values, **also})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            inside = [*way, *first["loc"]]
            got = "" if first["type"] == "missing" else f", not {first['input']!r}"
            raise BadDefinition(
                f"{self.place(inside)}: {'.'.join(map(str, inside))}: {first['msg']}{got}. The fields of a {kind.__name__} are "
                f"{known}: see roundtrip/lakehouse/definitions.py."
            ) from None


def _inside(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """Line and node of a member of a mapping, or of an entry of a list."""
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line + 1, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    return None


def _refuse_doubled(node: yaml.Node | None, name: str) -> None:
    """YAML's own reading keeps the last of two members of one name, and says nothing."""
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            _refuse_doubled(entry, name)
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise BadDefinition(f"{name}:{key.start_mark.line + 1}: {key.value!r} is there twice: keep one of them.")
            seen.add(key.value)
            _refuse_doubled(value, name)
