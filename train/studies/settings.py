"""Settings of a run by their dotted names, such as "loss.ce.temperature", in frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_type_hints

from flax.traverse_util import unflatten_dict

from model.errors import InputError, did_you_mean
from model.ranges import check_settings
from model.typed import as_type
from train.command.length import in_epochs

Config = TypeVar("Config")


def setting_types(config: Any, prefix: str = "") -> dict[str, Any]:
    """The annotation of every setting of a configuration, by its dotted name."""
    types: dict[str, Any] = {}
    hints = get_type_hints(type(config))
    for field in fields(config):
        name, value = prefix + field.name, getattr(config, field.name)
        if is_dataclass(value):
            types |= setting_types(value, f"{name}.")
        else:
            types[name] = hints[field.name]
    return types


def with_settings(config: Config, settings: Mapping[str, Any], where: str) -> Config:
    """The configuration with other values of some settings, by dotted name.

    `where` is the beginning of a message.

    Raises:
        InputError: a setting is unknown, of another type or out of range, or some do not go
            together.
    """
    types = setting_types(config)
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in types:
            hint = did_you_mean(name, types, cutoff=0.0)
            raise InputError(f"{where}: there is no setting {name!r}; {hint}")
        values[name] = as_type(types[name], value, where, name)
    try:
        if in_epochs(values):  # as on a command line
            values["steps"] = None
        changed = _replaced(config, unflatten_dict(values, sep="."))
        check_settings(changed)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return changed


def _replaced(config: Any, tree: Mapping[str, Any]) -> Any:
    # All fields of a dataclass at once: some are checked together, such as the shares of a masking.
    now = {name: getattr(config, name) for name in tree}
    inner = {name: _replaced(now[name], tree[name]) for name in tree if is_dataclass(now[name])}
    return replace(config, **{**tree, **inner})
