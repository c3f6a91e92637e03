"""The search for a model's sampling: one setting after the other, and only what earns its place."""

from collections.abc import Callable

from model import tuning
from model.inference import Sampling


def _search(judge: Callable[[Sampling], float]) -> tuple[Sampling, int]:
    trials = list(tuning.tune(Sampling(), judge))
    assert len({trial.sampling for trial in trials}) == len(trials)  # each is asked for once
    return [trial.sampling for trial in trials if trial.is_best][-1], len(trials)


def test_the_least_detectable_sampling_is_found() -> None:
    def judge(sampling: Sampling) -> float:
        return 0.6 + abs(sampling.temperature - 1.1) + abs(sampling.min_p - 0.02) + sampling.top_p

    best, count = _search(judge)
    assert (best.temperature, best.min_p, best.top_p) == (1.1, 0.02, 0.9)
    assert best.repeat_penalty == Sampling().repeat_penalty
    assert count < 20


def test_settings_that_depend_on_each_other_are_found() -> None:
    def judge(sampling: Sampling) -> float:
        return 0.9 - 0.3 * (sampling.top_p == 1.0) * (sampling.temperature - 0.7)

    best, _ = _search(judge)
    assert (best.temperature, best.top_p) == (1.2, 1.0)


def test_luck_changes_nothing() -> None:
    noise = iter([0.8, *[0.795, 0.805, 0.792] * 20])
    assert _search(lambda _: next(noise))[0] == Sampling()


def test_what_is_not_tuned_stays() -> None:
    start = Sampling(max_tokens=33, top_k=7)
    trials = list(tuning.tune(start, lambda _: 0.5))
    assert {(trial.sampling.max_tokens, trial.sampling.top_k) for trial in trials} == {(33, 7)}
