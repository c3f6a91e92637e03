"""Weights of five families, converted and adapted: the same words as they say in torch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bot.config import UserError
from model import catalog, conversion, export, runs, worker
from model.recipe import Recipe
from model.runs import Plan, Run

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", reason="needs requirements-train.txt")
sentencepiece = pytest.importorskip("sentencepiece")
loading = pytest.importorskip("model.loading", reason="needs requirements-train.txt")

Array = npt.NDArray[Any]

PROMPTS = [[11, 12, 13], [40, 7, 9, 9, 300], list(range(50, 80))]
SIZES = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "initializer_range": 0.15,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Mistral": {"sliding_window": None},
    "Phi3": {"original_max_position_embeddings": 256, "max_position_embeddings": 256},
    "Gemma3Text": {"head_dim": 32, "sliding_window": 64, "tie_word_embeddings": True},
    "Qwen2": {},
}


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the converter in it, fetched once."""
    models_dir = tmp_path_factory.mktemp("models")
    try:
        conversion._tools(models_dir)
    except UserError as error:
        pytest.skip(f"llama.cpp's converter cannot be had here: {error}")
    return models_dir


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentencepiece vocabulary of 512 pieces."""
    folder = tmp_path_factory.mktemp("words")
    text = folder / "text"
    lines = Path(conversion.__file__).read_text("utf-8").splitlines()
    text.write_text("\n".join(line for line in lines if line.strip()), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), vocab_size=512, model_type="bpe",
        pad_id=0, bos_id=1, eos_id=2, unk_id=3, byte_fallback=True, minloglevel=2,
    )  # fmt: skip
    return folder / "tokenizer.model"


def a_folder(folder: Path, family: str, words: Path) -> Path:
    """A model of a family with random weights, as Hugging Face's hub has them."""
    sizes = {**SIZES, **FAMILIES[family]}
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(words.read_bytes())
    settings = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**sizes)
    model = getattr(transformers, f"{family.removesuffix('Text')}ForCausalLM")(config)
    model.to(torch.float16).save_pretrained(str(folder))
    return folder


def a_run(models_dir: Path, folder: Path, base: Path) -> tuple[Run, Any]:
    """A training on the folder's weights whose adapter is random, and the merged model."""
    plan = Plan("tiny", str(base), str(folder), catalog.sha256(base), "x", Recipe(rank=4), 1.0)
    run_folder = runs.root(models_dir) / "amber"
    runs.write_plan(run_folder, plan)
    model = loading.load(folder, plan.recipe, loading.Place("cpu", "full", ""))
    torch.manual_seed(1)
    for name, values in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(values, std=0.2)
    model.save_pretrained(str(run_folder / "adapter"), save_embedding_layers=False)
    runs.finish_stage(
        run_folder, "sft", {"steps": 3, "first_loss": 2.0, "last_loss": 1.0, "seconds": 1.0}
    )
    return runs.finish(run_folder, plan), model.merge_and_unload()


def logits_of(path: Path) -> Callable[[list[int]], Array]:
    def logits(prompt: list[int]) -> Array:
        model = worker.load(path, 128, threads=1)
        model._logits_all = True
        model.reset()
        model.eval(prompt)
        row = np.array(model._scores[-1] if model._scores.ndim > 1 else model._scores)
        model.close()
        return row

    return logits


def kl(true: Array, other: Array) -> float:
    p, q = (torch.tensor(row).double().log_softmax(-1) for row in (true, other))
    return float((p.exp() * (p - q)).sum(-1))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_says_the_same_after_all(
    family: str, tools: Path, tmp_path: Path, words: Path
) -> None:
    folder = a_folder(tmp_path / "weights", family, words)
    base = tmp_path / "base.F16.gguf"
    conversion.convert(folder, base, tools)
    run, merged = a_run(tmp_path, folder, base)

    def trained(prompt: list[int]) -> Array:
        with torch.no_grad():
            row: Array = merged(torch.tensor([prompt])).logits[0, -1].numpy()
        return row

    whole = export.export(run, tmp_path, "F16").path
    alone = export.export(run, tmp_path, catalog.ADAPTER).path
    small = export.export(run, tmp_path, "Q8_0").path
    assert alone.stat().st_size < 0.5 * whole.stat().st_size
    for prompt in PROMPTS:
        true = trained(prompt)
        assert kl(true, logits_of(base)(prompt)) > 5e-3  # the adapter is not nothing
        assert kl(true, logits_of(whole)(prompt)) < 1e-3
        assert kl(true, logits_of(alone)(prompt)) < 1e-3
        assert kl(true, logits_of(small)(prompt)) < 0.02
    assert greedy(trained) == greedy(logits_of(whole)) == greedy(logits_of(alone))


def greedy(step: Callable[[list[int]], Array], count: int = 16) -> list[int]:
    ids = list(PROMPTS[0])
    for _ in range(count):
        ids.append(int(step(ids).argmax()))
    return ids[len(PROMPTS[0]) :]


def test_weights_that_would_have_to_be_unpickled_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(UserError, match="safetensors"):
        conversion.convert(tmp_path, tmp_path / "x.gguf", tmp_path)
    with pytest.raises(UserError, match=r"config\.json"):
        conversion.convert(tmp_path / "nothing", tmp_path / "x.gguf", tmp_path)


def test_a_family_that_llama_cpp_does_not_know_is_a_sentence(tools: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "config.json").write_text(
        '{"architectures": ["OddForCausalLM"], "model_type": "odd"}'
    )
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(UserError, match="cannot convert"):
        conversion.convert(folder, tmp_path / "odd.gguf", tools)
    assert not list(tmp_path.glob("odd.gguf*"))


def test_an_adapter_without_its_base_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "models" / "finetuned" / "amber" / "amber.adapter.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF")
    with pytest.raises(UserError, match="to which base"):
        worker.load(path, 64)
    path.with_name("manifest.json").write_text(json.dumps({"base_gguf": "base/gone.gguf"}))
    with pytest.raises(UserError, match="which is gone"):
        worker.load(path, 64)


def test_the_version_is_the_one_that_is_installed() -> None:
    import llama_cpp

    assert llama_cpp.__version__ == conversion.VERSION
