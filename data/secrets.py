"""Passwords, keys, tokens and ways to reach a person, masked in what a model learns from.

A model can be made to repeat what it has seen. Ordinary chat must stay as it is, so each kind is
recognised by its own rule: the shapes that providers give their tokens, values that are called a
password or a key, addresses, and the check digits of `data/numbers.py`.
"""

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

from data import numbers

# What providers call secret: its kind, what each text with one contains, and its shape. A shape
# begins where no word goes on; none can backtrack far.
SHAPES = {
    "Discord bot": ("token", ".", r"[MNO][\w-]{23,27}\.[\w-]{6,7}\.[\w-]{27,45}"),
    "Discord user": ("token", "mfa.", r"mfa\.[\w-]{80,100}"),
    "Discord webhook": ("token", "/webhooks/", r"https?://[\w./]{10,50}/webhooks/\d+/[\w-]{60,90}"),
    "GitHub": ("token", "gh", r"gh[oprsu]_\w{36,255}"),
    "GitHub, fine-grained": ("token", "github_pat_", r"github_pat_\w{60,255}"),
    "GitLab": ("token", "gl", r"gl[a-z]{2,6}-(?=[\w.-]{0,99}\d)[\w.-]{20,300}"),
    "Slack": ("token", "xox", r"xox[a-z]-[\w-]{10,250}"),
    "Slack app": ("token", "xapp-", r"xapp-\d-[\w-]{20,250}"),
    "Slack webhook": ("token", "hooks.slack", r"https://hooks\.slack\.com/\w+/[\w/]{20,200}"),
    "Telegram bot": ("token", ":AA", r"\d{8,10}:AA[\w-]{32,33}"),
    "npm": ("token", "npm_", r"npm_\w{36}"),
    "PyPI": ("token", "pypi-", r"pypi-[\w-]{50,300}"),
    "JSON web token": ("token", "eyJ", r"eyJ[\w-]{10,4000}\.eyJ[\w-]{10,4000}\.[\w-]{0,4000}"),
    "Hugging Face": ("token", "hf_", r"hf_[A-Za-z]{30,40}"),
    "Docker Hub": ("token", "dckr_", r"dckr_[a-z]{3}_[\w-]{27,60}"),
    "Vault": ("token", "hv", r"hv[sbr]\.[\w-]{24,300}"),
    "Notion": ("token", "ntn_", r"ntn_[A-Za-z0-9]{40,50}"),
    "Linear": ("token", "lin_api_", r"lin_api_[A-Za-z0-9]{40,50}"),
    "DigitalOcean": ("token", "_v1_", r"do[opr]_v1_[0-9a-f]{64}"),
    "Shopify": ("token", "shp", r"shp[a-z]{2}_[0-9a-fA-F]{32}"),
    "AWS": ("key", "A", r"A(?:KIA|SIA|GPA|IDA|ROA|NPA|NVA)[A-Z0-9]{16}(?!\w)"),
    "Google": ("key", "AIza", r"AIza[\w-]{35}"),
    "Google login": ("key", "ya29.", r"ya29\.[\w-]{20,300}"),
    "Google client": ("key", "GOCSPX-", r"GOCSPX-[\w-]{28}"),
    "OpenAI, Anthropic": ("key", "sk-", r"sk-(?=[\w-]{0,99}\d)(?=[\w-]{0,99}[A-Z])[\w-]{20,300}"),
    "Groq": ("key", "gsk_", r"gsk_[A-Za-z0-9]{37,90}"),
    "xAI": ("key", "xai-", r"xai-[A-Za-z0-9]{37,90}"),
    "Replicate": ("key", "r8_", r"r8_[A-Za-z0-9]{37,90}"),
    "Stripe": ("key", "k_", r"[prs]k_(?:live|test)_\w{16,250}"),
    "Stripe webhook": ("key", "whsec_", r"whsec_[\w+/]{24,100}"),
    "SendGrid": ("key", "SG.", r"SG\.[\w-]{22}\.[\w-]{43}"),
    "Mailgun": ("key", "key-", r"key-[0-9a-f]{32}(?!\w)"),
    "Twilio": ("key", "SK", r"SK[0-9a-f]{32}(?!\w)"),
    "age": ("key", "AGE-SECRET", r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    "SSH": ("key", " AAAA", r"(?:ssh|ecdsa)-[\w-]{3,30} AAAA[\w+/=]{50,9000}"),
    "PEM": (
        "key",
        "PRIVATE KEY",
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?s:.*?)(?:-----END[^\n]*|\Z)",
    ),
    "PuTTY": ("key", "PuTTY-User", r"PuTTY-User-Key-File-\d(?s:.*?)(?:Private-MAC: \w+|\Z)"),
}
_LONG = re.compile(r"[A-Za-z0-9_+-]{16}")  # what nearly each of these holds somewhere
_AT = re.compile(r"[^\s<]@\w")  # no mention

_PASSWORD = (
    r"(?i)(?:passwor[dt]|passwd|(?<![^\W_])"
    r"(?:pass(?:phrase|code)?|pwd?|kennwort|contraseña|senha|mdp|пароль|密码))[\"'`]?\*{0,2}\s{0,3}"
)
_EQUALS = r"[:=]{1,2}\*{0,2}\s{0,3}"
_IS = r"\bist?\b:?\s{0,3}"
_QUOTED = r"[\"'`|]{1,2}(?P<value>[^\"'`|\n]{4,100})[\"'`|]"
_BARE = r"(?P<value>[^\s\"'`|,;<>\[][^\s\"'`|,;<>]{3,99})"
# What stands after "password:" in code, and in talk about passwords.
_NO_PASSWORD = re.compile(
    r"(?i)str(?:ing)?|text|varchar.*|none|null|undefined|true|false|required|optional|input|empty"
    r"|the|your|same|what|that|this|with|from|when|then|does|have|will|just|also|like|must|only"
    r"|\w*pass\w*|[*.x]+|[\w.]+[(\[{].*|\$[A-Z_{].*|%\w+%|\{.*|https?:.*|(?:os|self|process)\..*"
    r"|[~.]{0,2}/.*"
)


class Rule(NamedTuple):
    """The group `value` of each match is a secret where `is_secret` says so."""

    kind: str
    hint: str  # in every text that holds such a secret, and quickly found
    pattern: re.Pattern[str]
    is_secret: Callable[[str], bool] = bool


def mask(text: str) -> tuple[str, dict[str, int]]:
    """The text with every secret replaced by its kind, such as `[password]`, and how many."""
    counts: dict[str, int] = {}
    count = functools.partial(_placeholder, counts)
    if _LONG.search(text) or "PRIVATE KEY" in text or "PuTTY" in text:
        text = _replace(text, _SHAPED, count)
    if ":" in text or "=" in text or " is" in text or "earer " in text:
        lower = text.lower()
        for names, rules in _NAMED:
            if any(map(lower.__contains__, names)):
                text = _replace(text, rules, count)
    if "@" in text and _AT.search(text):
        text = _replace(text, _ADDRESSES, count)
    if numbers.HINT.search(text):
        text = numbers.replace(text, count)
    return text, counts


def _placeholder(counts: dict[str, int], kind: str) -> str:
    counts[kind] = counts.get(kind, 0) + 1
    return f"[{kind}]"


def _replace(text: str, rules: tuple[Rule, ...], placeholder: Callable[[str], str]) -> str:
    for kind, hint, pattern, is_secret in rules:
        if hint not in text:
            continue
        pieces, done = [], 0
        for match in pattern.finditer(text):
            if is_secret(match["value"]):
                pieces += [text[done : match.start("value")], placeholder(kind)]
                done = match.end("value")
        if done:
            text = "".join([*pieces, text[done:]])
    return text


def _is_random(value: str) -> bool:
    return any(map(str.isalpha, value)) and any(map(str.isdigit, value))


def _is_mixed(value: str) -> bool:
    """Whether small letters, capitals and digits are mixed, which in a hash they are not."""
    return _is_random(value) and value.lower() != value != value.upper()


def _is_password(value: str) -> bool:
    return not _NO_PASSWORD.fullmatch(value.rstrip(".!?)"))


def _is_said_password(value: str) -> bool:
    """After "is" comes a password or what is wrong with it; only the one has digits or signs."""
    bare = value.rstrip(".!?):*")
    return len(bare) > 3 and not re.fullmatch(r"[^\W\d_]+(?:['/-][^\W\d_]+)*", bare)


_SHAPED = (
    *(
        Rule(kind, hint, re.compile(rf"(?<![A-Za-z0-9_-])(?P<value>{shape})"))
        for kind, hint, shape in SHAPES.values()
    ),
    # AWS again: a secret key is known by nothing but its length
    Rule(
        "key",
        "",
        re.compile(r"(?P<value>[A-Za-z0-9/+]{40})(?<![\w/+=.:-][A-Za-z0-9/+]{40})(?![\w/+=.-])"),
        _is_mixed,
    ),
)
# What a text must name, in small letters, before its rules are tried.
_NAMED = (
    (
        ("bearer", "basic"),
        (
            Rule(
                "token",
                "",
                re.compile(r"(?i)\b(?:bearer|basic)\s{1,3}(?P<value>[\w.~+/-]{16,4000}={0,2})"),
                _is_random,
            ),
        ),
    ),
    (
        ("pass", "pw", "kennwort", "contraseña", "senha", "mdp", "пароль", "密码"),
        (
            Rule(
                "password", "", re.compile(f"{_PASSWORD}(?:{_EQUALS}|{_IS}){_QUOTED}"), _is_password
            ),
            Rule("password", "", re.compile(f"{_PASSWORD}{_EQUALS}{_BARE}"), _is_password),
            Rule("password", " is", re.compile(f"{_PASSWORD}{_IS}{_BARE}"), _is_said_password),
        ),
    ),
    (
        ("secret", "token", "credential", "key"),
        (
            Rule(
                "key",
                "",
                re.compile(
                    r"(?i)(?:secret|token|credential"
                    r"|(?:api|access|auth|account|private)[_ -]?key)"
                    r"\w{0,30}[\"']?\s{0,3}[:=]{1,2}\s{0,3}[\"'`]?"
                    r"(?P<value>[\w+/.~-]{12,4000}={0,2})(?![\w(\[{.])"
                ),
                _is_random,
            ),
        ),
    ),
)
_ADDRESSES = (
    Rule("password", "://", re.compile(r"(?<=://)(?P<value>[^\s/:@]{0,100}:[^\s/@]{1,200})(?=@)")),
    Rule(
        "e-mail",
        "@",
        re.compile(
            r"(?<![\w.+%-])(?!git@)(?P<value>[\w.+%-]{1,64}@"
            r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,6}(?!(?:js|css|mjs|min)\b)[^\W\d_]{2,24})(?![\w@-])"
        ),
    ),
)
