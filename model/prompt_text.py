"""A prompt as the model is given it: laid out, cut to fit, made into tokens, and read back."""

from pathlib import Path

from llama_cpp import Llama

from model import catalog, prompts, resident
from model.prompts import Prompt


def given(path: Path, prompt: Prompt, context_length: int, max_tokens: int) -> str:
    """The text of all tokens that the worker hands to a model, control tokens spelt out.

    Only the vocabulary is loaded. Raises `UserError` for a file that is no model.
    """
    file = catalog.base_of(path) or path
    catalog.check_gguf(file)
    model = Llama(str(file), vocab_only=True, n_ctx=context_length, verbose=False)
    try:
        room = max(1, model.n_ctx() - max_tokens - 1)  # as the worker has it
        ids = prompts.encode(prompt, resident.encoder(model), room)
        return bytes(model.detokenize(ids, special=True)).decode("utf-8", "replace")
    finally:
        model.close()
