"""Weights of six families, converted and adapted: the same words as they say in torch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.config import ROOT, UserError
from model import catalog, conversion, export, resident
from tests.model import adapted

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", reason="needs requirements-train.txt")
sentencepiece = pytest.importorskip("sentencepiece")
peft = pytest.importorskip("peft", reason="needs requirements-train.txt")

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
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Mistral": {"sliding_window": None},
    "Phi3": {"original_max_position_embeddings": 256, "max_position_embeddings": 256},
    "Gemma3Text": {  # every sixth layer sees all, by a rope of its own
        "num_hidden_layers": 6,
        "initializer_range": 0.05,
        "head_dim": 32,
        "query_pre_attn_scalar": 32,
        "sliding_window": 16,
        "tie_word_embeddings": True,
    },
    "Qwen2": {},
    "Qwen3": {"head_dim": 32},
}


@pytest.fixture(scope="session")
def tools() -> Path:
    """The models folder with the converter in it, fetched once."""
    try:
        conversion._tools(ROOT / "models")
    except UserError as error:
        pytest.skip(f"llama.cpp's converter cannot be had here: {error}")
    return ROOT / "models"


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
    settings["chat_template"] = TEMPLATE
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**sizes)
    model = getattr(transformers, f"{family.removesuffix('Text')}ForCausalLM")(config)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "norm" in name:
                values += 0.2 * torch.randn_like(values)
            if "Gemma" in family and "layers" in name and "post_" in name:
                values += 3  # or tied embeddings repeat the last word for ever
    model.to(torch.float16).save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_says_the_same_after_all(
    family: str, tools: Path, tmp_path: Path, words: Path
) -> None:
    folder = a_folder(tmp_path / "weights", family, words)
    base = tmp_path / "base.F16.gguf"
    conversion.convert(folder, base, tools)
    check_words(base, words)
    embeddings = family in ("Llama", "Phi3")
    run, merged = adapted.a_run(tmp_path, base, folder, std=0.05, embeddings=embeddings)
    kinds = ("F16", catalog.ADAPTER, "Q8_0")
    whole, alone, small = (export.export(run, tmp_path, kind).path for kind in kinds)
    assert alone.stat().st_size < 0.5 * whole.stat().st_size
    for prompt in PROMPTS:
        ids, true = adapted.greedy(merged, prompt, 16)
        assert len(set(ids[-16:])) > 2  # not one word over and over
        assert adapted.kl(true, adapted.logits(base, ids, 16)) > 0.1  # the adapter is not nothing
        for path in (whole, alone):
            said = adapted.logits(path, ids, 16)
            assert adapted.agree(true, said)
            assert adapted.kl(true, said) < 1e-4
            np.testing.assert_allclose(said, true, atol=0.1)
        assert adapted.kl(true, adapted.logits(small, ids, 16)) < 0.02


def check_words(base: Path, words: Path) -> None:
    text = "a folder that is there, of 77 MB"
    spelled = sentencepiece.SentencePieceProcessor(model_file=str(words)).encode(text)
    model = resident.load(base, 64, threads=1)
    read = model.tokenize(text.encode(), add_bos=False)
    assert read[1:] == spelled[1:]  # a Gemma puts no space before the first
    assert model.metadata["tokenizer.chat_template"] == TEMPLATE
    model.close()


def test_a_base_is_made_once_and_again_when_its_folder_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def convert(weights: Path, target: Path, models_dir: Path) -> None:
        target.parent.mkdir(parents=True)
        target.write_bytes(b"GGUF")
        made.append(target)

    monkeypatch.setattr(conversion, "convert", convert)
    for owner in ("ann", "ann", "bob"):
        folder = tmp_path / owner / "model"
        folder.mkdir(parents=True, exist_ok=True)
        if owner == "bob" or not made:
            (folder / "config.json").write_text(owner)
        assert conversion.base_gguf(str(folder), tmp_path) == made[-1]
    (folder / "config.json").write_text("changed")
    assert conversion.base_gguf(str(folder), tmp_path) == made[-1]
    assert [path.name for path in made] == 3 * ["model.F16.gguf"]


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
        resident.load(path, 64)
    path.with_name("manifest.json").write_text(json.dumps({"base_gguf": "base/gone.gguf"}))
    with pytest.raises(UserError, match="which is gone"):
        resident.load(path, 64)


def test_the_version_is_the_one_that_is_installed() -> None:
    import llama_cpp

    assert llama_cpp.__version__ == conversion.VERSION
