"""The words that a community uses more than English does elsewhere."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from wordfreq import get_frequency_dict

MOST = 200  # words of slang
LEAST_TEXTS = 5  # that a word must be in
LEAST_ODDS = 4.0  # times as common as elsewhere
PRIOR = 500.0  # words of general English that are added to what the community said
RAREST = 1e-8  # share of a word that the lists do not know: that of the rarest they do

_NOT_WORDS = re.compile(r"https?://\S+|[@#]\S+", re.IGNORECASE)
_WORD = re.compile(r":\w+:|\w+(?:['\u2019]\w+)*")
_LETTER = re.compile(r"[^\W\d_]")


def words(text: str) -> list[str]:
    """The words of a text in lower case, `:emoji:` as one; addresses and names are none."""
    return _WORD.findall(_NOT_WORDS.sub(" ", text).lower().replace("\u2019", "'"))


def slang(texts: Sequence[Sequence[str]]) -> list[str]:
    """At most `MOST` words of the texts, given as words, the most particular first.

    Ranked by the log-odds of a word against general English in its standard deviations, with an
    informative Dirichlet prior (Monroe et al. 2008, "Fightin' Words", equations 15 to 22; English
    is taken as known, so that its own variance is 0). That favours what is frequent, not what is
    freakish.
    """
    counts = Counter(word for text in texts for word in text)
    spread = Counter(word for text in texts for word in set(text))
    english = get_frequency_dict("en", wordlist="best")
    total = counts.total() + PRIOR
    score = {}
    for word, count in counts.items():
        if spread[word] >= LEAST_TEXTS and _LETTER.search(word):
            share = max(english.get(word, 0.0), RAREST)
            seen = count + PRIOR * share
            odds = math.log(seen / (total - seen)) - math.log(share / (1 - share))
            if odds > math.log(LEAST_ODDS):
                score[word] = odds * math.sqrt(seen)
    return sorted(score, key=lambda word: (-score[word], word))[:MOST]
