"""What a step of training makes smaller: nats of the replies, and doubt about the better one.

    SFT   -ln p(chosen), a token
    DPO   -ln s(beta (m - m_ref)), a pair          m = ln p(chosen) - ln p(rejected)
    ORPO  -ln p(chosen), a token, - lambda ln s(ln odds(chosen) - ln odds(rejected)), a pair

with s the logistic function, and odds(y) = q / (1 - q) where ln q is a reply's mean ln p a token.
DPO: Rafailov et al. 2023, equation 7. ORPO: Hong et al. 2024, equations 4 to 7. Only DPO reads what
the model said of a pair before (`Row.reference`), so no second model is held.
"""

import dataclasses
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from model import losses, recipe
from model.batches import IGNORED, Batch


@dataclasses.dataclass(frozen=True)
class Objective:
    """One of the three; `strength` is DPO's beta or ORPO's lambda."""

    stage: str
    strength: float = 0.0

    def loss(self, model: Any, batch: Batch, totals: Tensor) -> Tensor:
        """This batch's share of its step's loss; `totals` are those of the step (`counts`)."""
        sums, lengths = reply_log_probs(model, batch)
        tokens = totals[0].to(sums.device).clamp(min=1e-6)
        chosen = batch["chosen"]
        learned = -sums[:chosen].sum() / tokens
        if self.stage == recipe.SFT or not len(batch["better"]):
            return learned if self.stage != recipe.DPO else sums.sum() * 0
        if self.stage == recipe.DPO:
            return doubt(self.strength * _margin(sums, batch), batch, totals)
        odds = _log_odds(sums / lengths)
        return learned + self.strength * doubt(odds[batch["better"]] - odds[chosen:], batch, totals)


def doubt(preference: Tensor, batch: Batch, totals: Tensor) -> Tensor:
    """-ln s(preference) of each pair, (pairs,), weighed: this batch's share of its step's."""
    weight, pairs = (value.to(preference.device) for value in (batch["weight"], totals[1]))
    return (weight * softplus(-preference)).sum() / pairs.clamp(min=1e-6)


def counts(batch: Batch) -> Tensor:
    """Of a batch: the tokens of its chosen replies, and the weight of its pairs."""
    tokens = (batch["labels"][: batch["chosen"], 1:] != IGNORED).sum()
    return torch.stack([tokens.float(), batch["weight"].float().sum()])


def rewards(model: Any, batch: Batch, beta: float) -> Tensor:
    """How much more each chosen reply gained on its rejected one since before: beta (m - m_ref).

    DPO's implicit reward; above 0 the model has learned the preference. Shape (pairs,).
    """
    sums, _ = reply_log_probs(model, batch)
    return beta * _margin(sums, batch)


def reply_log_probs(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """The ln p of each sequence's reply and its number of tokens, both (sequences,).

    The logits of other tokens are never made; those of replies only a few at a time.
    """
    outputs = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        use_cache=False,
        logits_to_keep=1,
        output_hidden_states=True,
    )
    labels = batch["labels"][:, 1:]
    is_learned = labels != IGNORED
    hidden = outputs.hidden_states[-1][:, :-1][is_learned]
    head, config = _head(model), _config(model)
    scores = losses.token_log_probs(
        hidden.to(head.dtype),
        head,
        labels[is_learned],
        softcap=getattr(config, "final_logit_softcapping", None),
    )
    lengths = is_learned.sum(1)
    places = torch.arange(len(labels), device=labels.device).repeat_interleave(lengths)
    sums = torch.zeros(len(labels), device=scores.device).index_add(0, places, scores)
    return sums, lengths


def _margin(sums: Tensor, batch: Batch) -> Tensor:
    margin = sums[batch["better"].to(sums.device)] - sums[batch["chosen"] :]
    return margin - batch["reference"].to(sums.device)


def _log_odds(mean: Tensor) -> Tensor:
    """ln (q / (1 - q)) for ln q = `mean`."""
    mean = mean.clamp(max=-1e-6)
    return mean - torch.log(-torch.expm1(mean))


def _head(model: Any) -> Tensor:
    """The output matrix, (words, width), with what an adapter adds to it."""
    layer = _unwrapped(model).get_output_embeddings()
    if not hasattr(layer, "get_delta_weight"):
        return layer.weight
    (adapter,) = layer.active_adapters
    return layer.get_base_layer().weight + layer.get_delta_weight(adapter)


def _config(model: Any) -> Any:
    return _unwrapped(model).config.get_text_config()


def _unwrapped(model: Any) -> Any:
    """The model within what spreads it over several GPUs."""
    return getattr(model, "module", model)
