"""The chunked loss against torch's own, values and gradients."""

import pytest

torch = pytest.importorskip("torch")
losses = pytest.importorskip("model.losses", reason="needs requirements-train.txt")


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("rows", [1, 7, 50, 1000])
def test_chunks_change_neither_the_value_nor_a_gradient(rows: int, softcap: float | None) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(50, 16, requires_grad=True)
    head = torch.randn(300, 16, requires_grad=True)
    targets = torch.randint(0, 300, (50,))
    weights = torch.rand(50)
    logits = hidden @ head.T
    if softcap:
        logits = softcap * torch.tanh(logits / softcap)
    plain = logits.log_softmax(-1)[torch.arange(50), targets]
    expected = torch.autograd.grad((plain * weights).sum(), (hidden, head))
    found = losses.token_log_probs(hidden, head, targets, softcap, rows)
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-5)
    gradients = torch.autograd.grad((found * weights).sum(), (hidden, head))
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_no_tokens_cost_nothing() -> None:
    found = losses.token_log_probs(torch.zeros(0, 4), torch.zeros(9, 4), torch.zeros(0).long())
    assert found.shape == (0,)
