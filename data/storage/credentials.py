"""Credentials in addresses and commands, which records and reports do not keep.

A run folder is passed on, with its command and its configuration: a password or token that somebody
put into an address must not go with it.
"""

import re

HIDDEN = "***"

_SECRET = r"(?:token|secret|password|passwd|pwd|(?:api|access|secret|private)[-_]?key)"
_IN_QUERY = rf"(?:{_SECRET}|key|sig|signature|credential|(?:aws)?accesskeyid)"
_VALUE = r"[^\s\"'&|<>#;\\]+"
_CREDENTIALS = (
    # scheme://user:password@host, scheme://token@host
    (r"(?<=://)[^\s/\"']+(?=@)", HIDDEN),
    # ?token=..., &X-Amz-Signature=..., ;sig=...
    (rf"(?i:([?&;](?:[\w-]*[-_])?{_IN_QUERY}=)){_VALUE}", rf"\1{HIDDEN}"),
    # --token ..., --hub.api-key=..., HF_TOKEN=...
    (
        rf"(?i:(--(?:[\w-]+[.-])*{_SECRET}(?:=|\s+)[\"']?|\b\w+_{_SECRET}=[\"']?)){_VALUE}",
        rf"\1{HIDDEN}",
    ),
    # Those that say what they are: of Hugging Face, GitHub, GitLab, Amazon, Google, Slack.
    (
        r"\b(?:hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"
        r"|glpat-[\w-]{16,}|A[KS]IA[A-Z0-9]{16}\b|ya29\.[\w-]{16,}|xox[abps]-[\w-]{10,})",
        HIDDEN,
    ),
)
_PATTERNS = tuple((re.compile(pattern), instead) for pattern, instead in _CREDENTIALS)


def without_credentials(text: str) -> str:
    """The text with `***` in place of what looks like a password, a key or a token."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text
