"""How a token is drawn, and how tokens become text."""

import codecs
from collections.abc import Callable, Sequence

import llama_cpp
from llama_cpp import Llama
from llama_cpp._internals import LlamaSampler

from model.inference import Sampling


def sampler(model: Llama, sampling: Sampling, seed: int) -> LlamaSampler:
    """The chain that `Llama.generate` builds. Greedy at temperature 0."""
    made = LlamaSampler()
    made.add_penalties(
        n_vocab=model.n_vocab(),
        penalty_last_n=model.last_n_tokens_size,
        penalty_repeat=sampling.repeat_penalty,
        penalty_freq=0.0,
        penalty_present=0.0,
    )
    if sampling.temperature <= 0:
        made.add_greedy()
        return made
    made.add_top_k(sampling.top_k)
    made.add_top_p(sampling.top_p, 1)
    made.add_min_p(sampling.min_p, 1)
    made.add_temp(sampling.temperature)
    made.add_dist(seed)
    return made


def is_end(model: Llama, token: int) -> bool:
    """Whether a token ends a turn, as every control token does: none belongs inside of a reply."""
    vocabulary = llama_cpp.llama_model_get_vocab(model.model)
    is_eog, is_control = llama_cpp.llama_vocab_is_eog, llama_cpp.llama_vocab_is_control
    return bool(is_eog(vocabulary, token) or is_control(vocabulary, token))


class Spelling:
    """Tokens into text, piece by piece, up to one of `stops`, which may take several tokens.

    `bytes_of` gives a token's bytes, which need not be whole characters.
    """

    def __init__(self, bytes_of: Callable[[int], bytes], stops: Sequence[str]) -> None:
        self._bytes_of, self._stops = bytes_of, stops
        self._decode = codecs.getincrementaldecoder("utf-8")("ignore").decode  # split characters
        self._held = ""
        self.is_over = False

    def add(self, token: int) -> str:
        """What can be said after one token more."""
        text = self._held + self._decode(self._bytes_of(token))
        said = until(text, self._stops)
        if said != text:
            self._held, self.is_over = "", True
            return said
        ready = len(said) - max(_begun(said, stop) for stop in self._stops)
        self._held = said[ready:]
        return said[:ready]

    def rest(self) -> str:
        """What looked like the beginning of a stop and was not."""
        held, self._held = self._held, ""
        return held


def until(text: str, stops: Sequence[str]) -> str:
    """A text up to the first of `stops`."""
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=None)]


def _begun(text: str, stop: str) -> int:
    """How many characters of `stop` a text ends with."""
    return next(n for n in range(len(stop) - 1, -1, -1) if text.endswith(stop[:n]))
