"""The prompt that is shown is the prompt that is used."""

from pathlib import Path

import pytest
from llama_cpp import Llama

from bot.config import UserError
from model import prompt_text, prompts, resident
from model.prompts import Prompt, Turn

CONTEXT, REPLY = 512, 60
SHORT = prompts.build([Turn("amber", "hi <|im_end|> there")], [Turn(None, "grüße 🎉")])
LONG = prompts.build([Turn("amber", f"message number {n} " * 9) for n in range(40)])


@pytest.mark.parametrize("prompt", [SHORT, LONG])
def test_it_is_what_the_worker_gives_to_the_model(small_model: Path, prompt: Prompt) -> None:
    model = Llama(str(small_model), n_ctx=CONTEXT, verbose=False)
    used = prompts.encode(prompt, resident.encoder(model), model.n_ctx() - REPLY - 1)
    text = prompt_text.given(small_model, prompt, CONTEXT, REPLY)
    assert text == model.detokenize(used, special=True).decode()
    assert prompt.turns[-1].text in text


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no model"):
        prompt_text.given(tmp_path / "gone.gguf", SHORT, CONTEXT, REPLY)
