"""Phone numbers, payment cards and IBANs in chat, told from all the other digits people write.

Check digits and the numbering plans decide. A national phone number must also be written like one,
or be called one: almost any eight digits are a phone number somewhere.
"""

import functools
import re
from collections.abc import Callable, Iterator

import phonenumbers
from stdnum import iban, luhn

HINT = re.compile(r"[0-9](?<![@!&#0-9][0-9])(?:[ ().\-/]{0,2}[0-9]){6}")
_GROUP = re.compile(r"[^\W_]+")
# Each looks back only after its first characters: these are found much faster that way.
_IBAN = re.compile(
    r"[A-Za-z]{2}[0-9]{2}(?<!\w[A-Za-z]{2}[0-9]{2})(?: ?[A-Za-z0-9]{4}){2,7}"
    r"(?: ?[A-Za-z0-9]{1,4})?(?!\w)"
)
_CARD = re.compile(r"[0-9](?<![\w./-][0-9])[0-9]{3}(?:[ -]?[0-9]){9,19}(?!\w)")
_PHONE = re.compile(
    r"[+(0-9](?<![\w+$€£¥@#&.,/-][+(0-9])\+?[0-9][0-9 ().\-/]{5,24}[0-9](?![\w%>€])"
)

# ISO/IEC 7812: who issues which numbers, and how long they are.
_ISSUED = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}"
    r"|35\d{14}|6(?:011|5\d\d|4[4-9]\d)\d{12}|62\d{14,17}|(?:5[0678]|6[37])\d{11,17}"
)
_LONGEST_UNBROKEN_CARD = 16  # longer ones are written in groups; Discord's ids are not

_DATE = re.compile(r"(?:(?:19|20)\d\d([-./])\d\d?\1\d\d?|\d\d?([-./])\d\d?\2(?:19|20)\d\d)(?!\d)")
_CALLED = re.compile(
    r"(?i)\b(?:(?:call|text|ring|phone) (?:me|us|him|her|them)|phone|tel|telefon|telephone|mobile"
    r"|handy|whats ?app|sms|my (?:new )?(?:number|cell)|number(?:'s| is)|nummer|numéro|móvil"
    r"|teléfono|telefone|celular|portable)\b"
)
_ABROAD = ("DE", "US", "JP")  # where 00, 011 and 010 lead abroad
_WITH_ZERO = (
    *("GB", "DE", "FR", "IT", "NL", "BE", "AT", "CH", "SE", "FI", "IE", "AU", "NZ", "ZA", "IN"),
    *("JP", "KR", "TR", "UA", "RO", "AR", "IL"),
)
_WITHOUT_ZERO = (
    (re.compile(r"(?:1[ .-])?\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}"), ("US", "MX")),
    (re.compile(r"\d\d( |-|\.)\d\d(?:\1\d\d){2}"), ("DK", "NO")),
    (re.compile(r"\d{3}( |-|\.)\d\d(?:\1\d\d){2}"), ("ES",)),
    (re.compile(r"\(?\d\d\)? \d{5}-\d{4}"), ("BR",)),
    (re.compile(r"8 ?\(?\d{3}\)? ?\d{3}[ -]\d\d[ -]\d\d"), ("RU",)),
)
_ANYWHERE = (*_WITH_ZERO, "US", "MX", "DK", "NO", "ES", "BR", "RU", "PL", "PT", "CZ", "SG")


def replace(text: str, placeholder: Callable[[str], str]) -> str:
    """The text with each number replaced by what `placeholder` says for its kind."""
    text = _replace(text, _IBAN, _is_iban, lambda: placeholder("iban"))
    text = _replace(text, _CARD, _is_card, lambda: placeholder("card"))
    if not _PHONE.search(text):
        return text
    is_phone = _is_phone_anywhere if _CALLED.search(text) else _is_written_like_a_phone
    return _replace(text, _PHONE, is_phone, lambda: placeholder("phone"))


def _replace(
    text: str,
    numbers: re.Pattern[str],
    is_one: Callable[[str], bool],
    placeholder: Callable[[], str],
) -> str:
    """Other digits may follow a number that is written in groups: the longest `is_one` counts."""
    pieces, done, position = [], 0, 0
    while match := numbers.search(text, position):
        ends = [group.end() for group in _GROUP.finditer(match[0])]
        longest = next((end for end in reversed(ends) if is_one(match[0][:end])), 0)
        position = match.start() + (longest or ends[0])
        if longest:
            pieces += [text[done : match.start()], placeholder()]
            done = position
    return "".join([*pieces, text[done:]])


def _is_iban(text: str) -> bool:
    return iban.is_valid(text, check_country=False)


def _is_card(text: str) -> bool:
    groups = _GROUP.findall(text)
    digits = "".join(groups)
    if len(groups) == 1 and len(digits) > _LONGEST_UNBROKEN_CARD:
        return False
    is_grouped = all(len(group) >= 4 for group in groups[:-1])
    return is_grouped and bool(_ISSUED.fullmatch(digits)) and luhn.is_valid(digits)


def _is_phone_anywhere(text: str) -> bool:
    return _is_phone(text, _ABROAD if text.startswith("+") else _ANYWHERE)


def _is_written_like_a_phone(text: str) -> bool:
    if text.startswith(("+", "(+", "00", "011")):
        return _is_phone(text, _ABROAD)
    if re.match(r"\(?0\d", text) and (len(text) > 9 or not text.isdigit()):
        return _is_phone(text, _WITH_ZERO)
    regions = (regions for form, regions in _WITHOUT_ZERO if form.fullmatch(text))
    return _is_phone(text, next(regions, ()))


@functools.lru_cache(4096)
def _is_phone(text: str, regions: tuple[str, ...]) -> bool:
    """Whether it is a number in use, written in one of the regions or with its country's code."""
    if not 7 <= sum(map(str.isdigit, text)) <= 15 or _DATE.match(text):
        return False
    return any(map(phonenumbers.is_valid_number, _read(text, regions)))


def _read(text: str, regions: tuple[str, ...]) -> Iterator[phonenumbers.PhoneNumber]:
    for region in regions:
        try:
            yield phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            continue
