"""Whether the bot is asked if it is a bot, and the plain answer, which no model is asked for.

English. A joking tone does not make the question a joke: "are you a bot lol" is answered plainly.
"""

import re
from collections.abc import Sequence

from bot.plain_text import readable

PLAIN = "I'm a bot: a language model writes my messages, no person does."
ANSWERS = (
    PLAIN,
    "I'm a bot. What I say is written by a language model, not by a human.",
    "To be plain: I'm an AI. No human types this.",
)
REASON = "asked whether it is a bot"
LONGEST = 600  # characters; what is longer is no such question

_BOT = (
    r"(?:(?:chat|discord|ai)?[ -]?bots?|robots?|ais?|artificial intelligence|llms?|gpts?|chat ?gpt"
    r"|(?:large )?language models?|machines?|automated|clankers?|(?:computer )?programs?)"
)
_HUMAN = (
    r"(?:human(?:s| beings?)?|(?:real|actual|living) (?:person|people|human|guy|girl|dude|user)"
    r"|a person|flesh and blood)"
)
_KIND = rf"(?:{_BOT}|{_HUMAN})"
_YOU = r"(?:you|u|ya|bothere|this (?:account|user|thing))"
_YOU_ARE = rf"(?:{_YOU} (?:are|r)(?: not)?|you're(?: not)?|(?:youre|ur)(?: not)?|{_YOU} aren'?t)"
# what may stand between "are you" and "bot"
_FILL = (
    r"(?:(?:a|an|the|some|just|really|actually|even|like|legit|literally|secretly|maybe|honestly"
    r"|seriously|possibly|all|still|only|basically|sort of|kind of|kinda|lowkey|by any chance"
    r"|(?:some|one) (?:kind|sort) of|one of those|sure (?:you are|you're|ur)|not|fucking|damn) )*"
)
# "are you a bot developer", "a human rights lawyer", "a robot vacuum" ask for something else
_END = (
    r"(?![-'\w])(?! (?:dev|owner|admin|author|maker|maintainer|creator|user|fan|expert|rights"
    r"|resources|engineer|researcher|token|hater|lover|nerd|guy|people|company|in the|channel"
    r"|command|code|framework|library|learning|vacuum|shop|operator|trash))"
)
_START = r"(?:^|[,.;:!?] ?|\b(?:so|wait|but|and|hey|yo|ok|lol|bro|dude|hm+|oh|no|know) )"
_QUESTIONS = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        # are you a bot; aren't you human
        rf"\b(?:are|r|is|aren'?t|isn'?t) {_YOU} {_FILL}{_KIND}{_END}",
        rf"\bru {_FILL}{_BOT}{_END}",
        # you a bot? you're a bot, right?
        rf"{_START}(?:{_YOU}|{_YOU_ARE}) {_FILL}{_KIND}{_END}[^.!]*\?",
        rf"^(?:you|u) {_FILL}(?:human|bot|ai|robot|real)(?: (?:or (?:what|not|no)|lol|bro))?$",
        r"\b(?:are|r) (?:you|u) (?:actually |really |even )?real ?(?:\?|$|or\b|lol|bro)",
        # is this a bot? am i talking to a bot? is there a human behind this?
        rf"\bis this {_FILL}{_KIND} ?(?:\?|$|or\b|account|talking)",
        rf"\b(?:am i|are we|i'?m|i am) {_FILL}(?:talking|speaking|chatting) (?:to|with) "
        rf"{_FILL}{_KIND}{_END}",
        rf"\bis (?:there )?{_FILL}{_HUMAN} (?:behind|reading|typing|writing|there)",
        r"\bis any(?:one|body) (?:real|human) (?:behind|there|typing)",
        # tell me if you are a bot; prove you are human; admit it, you're a bot
        rf"\b(?:if|whether|prove|admit|admit it,?|confirm|swear|know|sure)(?: that)? {_YOU_ARE} "
        rf"{_FILL}{_KIND}{_END}",
        # bot or human? what are you, a bot?
        rf"^(?:so |ok |wait )?{_FILL}{_KIND} or {_FILL}{_KIND} ?\??$",
        rf"\bwhat are {_YOU},? {_FILL}{_KIND}{_END}",
        # do you run on gpt?
        rf"\b(?:do|are) {_YOU} (?:run|running|based|powered) (?:on|by) {_FILL}{_BOT}{_END}",
    )
]
# "if you are a bot, use this": no question, unless somebody wants to know
_IF = re.compile(r"\b(?:if|whether) (?:you|u)")
_WANTS = re.compile(r"\b(?:tell|say|know|wonder|ask|admit|confirm|curious)|\?\s*$")

_REAL = r"real(?= ?(?:$|[.,!?]|lol|bro))"  # and not "real tired"
_IS_BOT, _IS_HUMAN = (rf"{_FILL}{kind}(?![-\w])" for kind in (_BOT, rf"(?:{_HUMAN}|{_REAL})"))
_I_AM = r"\b(?:i am|i'?m|am|this is)"
_WHO = re.compile(r"\b(?:what|who) (?:are|r) (?:you|u)\b")
_TALK = re.compile(rf"\b(?:{_KIND}|real)(?![-\w])|{_WHO.pattern}")
_NEGATION = re.compile(r"\bnot\b|n'?t\b")
_NAMES_BOT = re.compile(rf"\b{_BOT}(?![-\w])")
_INTERJECTIONS = (
    r"^(?:(?:no+|nah+|nope|yes|yeah|lol|lmao|haha|uh|um|bro|dude|hell|oh|wtf|what)[?,.! ]+)*"
)
_DENIALS = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        # i'm not a bot; not a bot; i ain't a bot; no bot here
        rf"{_I_AM} (?:\w+ )?(?:not|no|never) {_IS_BOT}",
        rf"{_INTERJECTIONS}(?:i )?(?:not|ain'?t) {_IS_BOT}",
        rf"\bno {_IS_BOT} here",
        rf"\bdo i (?:look|sound|seem) like {_IS_BOT}",
        # i'm human; 100% human; human
        rf"{_I_AM} (?!not\b)(?:100 ?% )?{_IS_HUMAN}",
    )
]
_A_HUMAN = re.compile(rf"{_INTERJECTIONS}(?:100 ?% |fully )?{_IS_HUMAN}[.! ]*$", re.MULTILINE)
_NO = re.compile(rf"{_INTERJECTIONS}(?:no+|nah+|nope|negative)\b")
_YES = re.compile(rf"{_INTERJECTIONS}(?:ye+s+|yea+h*|ye[ap]|yup|of course|sure|obviously|duh)\b")

_QUOTED = re.compile(r"\"[^\"]*\"|[\u201c\u201d][^\u201c\u201d]*[\u201c\u201d]")


def asks(text: str, own_id: int = 0) -> bool:
    """Whether a text that is addressed to the bot asks whether it is a bot, or a human."""
    if len(text) > LONGEST:
        return False
    plain = _plain(text, own_id)
    if _IF.search(plain) and not _WANTS.search(plain):
        return False
    return any(pattern.search(plain) for pattern in _QUESTIONS)


def answer(message_id: int) -> str:
    """A short truth; which one depends on the message alone."""
    return ANSWERS[(message_id >> 22) % len(ANSWERS)]


def denies(reply: str, asked: Sequence[str]) -> bool:
    """Whether a reply denies that a bot speaks, to people who just talked of bots or humans.

    `asked` is what others said last, the newest at the end.
    """
    plain, talk = _plain(reply), [_plain(text) for text in asked]
    if not any(_TALK.search(text) for text in talk):
        return False
    if any(pattern.search(plain) for pattern in _DENIALS):
        return True
    is_asked = asks(asked[-1]) or bool(_WHO.search(talk[-1]))
    return is_asked and _is_untrue(plain, talk[-1])


def _is_untrue(reply: str, question: str) -> bool:
    """Whether an answer of a word or two is."""
    if _A_HUMAN.search(reply):
        return True
    is_about_bots, is_negated = _NAMES_BOT.search(question), _NEGATION.search(question)
    says_no, says_yes = _NO.search(reply), _YES.search(reply)
    if is_about_bots and is_negated:
        return bool(says_no or says_yes)  # nobody could tell what it means
    return bool(says_no if is_about_bots else says_yes)


def _plain(text: str, own_id: int = 0) -> str:
    """A text as the patterns read it, without what it quotes.

    "Is @bot a bot" reads "is bothere a bot"; elsewhere a mention of the bot only calls it.
    """
    text = _QUOTED.sub(" ", text[: 2 * LONGEST])
    text = re.sub(rf"(\bis\s+)<@!?{own_id}>", r"\1bothere", text, flags=re.IGNORECASE)
    return readable(re.sub(rf"<@!?{own_id}>", " ", text), repeats=1)
