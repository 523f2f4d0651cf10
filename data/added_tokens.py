"""Tokens that are looked for in a text before it is split, from the files of a tokenizer.

Several files may list them. Which list counts, and the order of the tokens, which decides their
ids, are those of transformers 5.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from data.vocabulary import SPECIAL_TOKENS
from model.errors import InputError
from model.hf.config import read_settings

CONFIG_FILE = "tokenizer_config.json"
TOKENS_FILES = ("special_tokens_map.json", "added_tokens.json")
_ROLES = tuple(f"{role}_token" for role in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True)
class AddedTokens:
    """The added tokens of a tokenizer, in the order in which they are added."""

    listed: list[AddedToken]
    """From the list that counts."""
    named: list[AddedToken]
    """Special tokens, with a role or not, that are not in this list."""
    ids: dict[Path, dict[str, int]]
    """The ids of tokens, in each file that says them."""

    def check_ids(self, tokenizer: Tokenizer) -> None:
        """Raises an InputError unless a tokenizer has the tokens where the files have them."""
        for path, ids in self.ids.items():
            for token, index in ids.items():
                actual = tokenizer.token_to_id(token)
                if actual != index:
                    there = "has no such token" if actual is None else f"gives it the id {actual}"
                    raise InputError(
                        f"{path}: the token {token!r} has the id {index}, but the tokenizer that "
                        f"transformers makes of the files beside it {there}: make them agree"
                    )


def read_added_tokens(
    path: Path, config: dict[str, Any], serialized: list[dict[str, Any]]
) -> AddedTokens:
    """The added tokens of the vocabulary at `path`, from the files beside it.

    If tokenizer_config.json, `config`, lists them, the older files do not count, nor does the list
    in tokenizer.json, `serialized`.

    Raises:
        InputError: a file is no JSON object, a value is no token or no id, or another token has the
            role of one of BERT's.
    """
    config_file, names_file, added_file = map(path.with_name, (CONFIG_FILE, *TOKENS_FILES))
    names, added = read_optional(names_file), read_optional(added_file)
    listed = _listed(config.get("added_tokens_decoder") or {}, config_file)
    for token, index in added.items():
        if type(index) is not int:
            raise InputError(f"{added_file}: {token} is {index!r}, and should be a token's id")
    roles, further = _roles(config, config_file), _further(config, config_file)
    old_roles, old_further = _roles(names, names_file), _further(names, names_file)
    by_id = listed
    if config.get("added_tokens_decoder") is None:
        roles |= old_roles
        special = {token.content for token in (*roles.values(), *further)}
        further = further or old_further
        by_id = {
            index: AddedToken(token, special=token in special, normalized=token not in special)
            for token, index in added.items()
        } | {token["id"]: _token(token, str(path)) for token in serialized}
    tokens = {by_id[index].content: by_id[index] for index in sorted(by_id)}
    order = sorted(roles, key=lambda role: _ROLES.index(role) if role in _ROLES else len(_ROLES))
    named = {token.content: token for token in (*(roles[role] for role in order), *further)}
    return AddedTokens(
        list(tokens.values()),
        [token for content, token in named.items() if content not in tokens],
        {
            config_file: {token.content: index for index, token in listed.items()},
            added_file: added,
            path: {token["content"]: token["id"] for token in serialized},
        },
    )


def read_optional(path: Path) -> dict[str, Any]:
    """The settings in a file, or none if it is not there."""
    return read_settings(path) if path.is_file() else {}


def _listed(value: Any, path: Path) -> dict[int, AddedToken]:
    where = f"{path}: added_tokens_decoder"
    try:
        by_id = {int(index): token for index, token in value.items()}
    except (AttributeError, ValueError):
        raise InputError(f"{where} should be an object with tokens by their ids") from None
    return {index: _token(token, f"{where}: {index}") for index, token in by_id.items()}


def _roles(settings: dict[str, Any], path: Path) -> dict[str, AddedToken]:
    """The tokens of the keys that end in _token; others of these keys are true or false."""
    more = settings.get("extra_special_tokens")
    roles = {
        key: _token(value, f"{path}: {key}")
        for key, value in (settings | (more if isinstance(more, dict) else {})).items()
        if value is not None
        if key in _ROLES or (key.endswith("_token") and isinstance(value, str | dict))
    }
    for token in SPECIAL_TOKENS:
        role = f"{token[1:-1].lower()}_token"
        if role in settings and (role not in roles or roles[role].content != token):
            raise InputError(
                f"{path}: {role} is {settings[role]!r}, and BERT's, {token}, is needed"
            )
    return roles


def _further(settings: dict[str, Any], path: Path) -> list[AddedToken]:
    """Special tokens without a role, of the first key that has some."""
    for key in ("extra_special_tokens", "additional_special_tokens"):
        value = settings.get(key) or []
        if not isinstance(value, list | dict):
            raise InputError(f"{path}: {key} is {value!r}, and should be a list of tokens")
        if value and isinstance(value, list):
            return [_token(token, f"{path}: {key}") for token in value]
    return []


def _token(value: Any, where: str) -> AddedToken:
    """A token as it is written in JSON; one that is only text is special."""
    if isinstance(value, str) and value:
        return AddedToken(value, special=True)
    if isinstance(value, dict) and isinstance(value.get("content"), str) and value["content"]:
        flags = {flag: value[flag] for flag in _FLAGS if flag in value}
        if all(isinstance(flag, bool) for flag in flags.values()):
            return AddedToken(value["content"], **flags)
    raise InputError(
        f'{where} is {value!r}, and should be a token: a text, or an object with "content" and '
        f"with flags that are true or false"
    )
