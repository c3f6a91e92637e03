"""An engine without a model."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from model.inference import Engine, Sampling
from model.prompts import Prompt


class Scripted(Engine):
    """Says what it is told to, and keeps the prompts it was given."""

    def __init__(self, says: Sequence[str] = (), name: str = "scripted") -> None:
        super().__init__(Path(f"{name}.gguf"))
        self.prompts: list[Prompt] = []
        self.read_along: list[Prompt] = []
        self._says = list(says)

    async def reply(
        self, prompt: Prompt, sampling: Sampling, channel_id: int
    ) -> AsyncGenerator[str, None]:
        self.prompts.append(prompt)
        yield self._says.pop(0) if self._says else ""

    async def read(self, prompt: Prompt, sampling: Sampling, channel_id: int) -> None:
        self.read_along.append(prompt)
