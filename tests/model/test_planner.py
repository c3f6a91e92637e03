"""The planner beside published and measured peaks, and what it says when they are too much."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest

from bot.config import UserError
from model import planner, recipe
from model.planner import Needs, Settings
from model.shape import SMALL, Shape
from tests.model.shapes import LLAMA_3B, LLAMA_8B, QWEN_2B, QWEN_3B, write_header

GB = 1e9
ASKED = Settings(rank=64, batch_size=2, length=2048, has_dropout=True)  # the specification's
CONFIG = {
    "vocab_size": 151_936,
    "hidden_size": 2048,
    "num_hidden_layers": 36,
    "intermediate_size": 11_008,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}


def total(shape: Shape = QWEN_3B, **changes: Any) -> float:
    return planner.estimate(shape, dataclasses.replace(ASKED, **changes)).total / GB


def test_the_specification_needs_twice_the_card_it_names() -> None:
    assert total(embeddings="whole", loss="full") == pytest.approx(17.5, rel=0.15)
    assert total() == pytest.approx(5.5, rel=0.15)


@pytest.mark.parametrize(
    ("changes", "gb"),
    [
        ({"loss": "full"}, 11.3),
        ({"loss": "full", "batch_size": 1}, 7.6),
        ({"loss": "full", "embeddings": "lora"}, 11.5),
        ({"checkpointing": "offloaded"}, 4.9),
        ({"rank": 32}, 4.9),
        ({"rank": 16, "batch_size": 4, "length": 1024}, 4.6),
    ],
)
def test_changed_settings_come_to_what_was_computed_by_hand(
    changes: dict[str, Any], gb: float
) -> None:
    assert total(has_dropout=False, **changes) == pytest.approx(gb, rel=0.15)


def test_published_peaks_are_met() -> None:
    """Torchtune's figures are of torch alone, without what CUDA itself takes."""
    plain = dataclasses.replace(ASKED, has_dropout=False)
    offloaded = dataclasses.replace(plain, length=4096, checkpointing="offloaded")
    small = planner.estimate(LLAMA_3B, offloaded)
    assert small.total - small.overhead == pytest.approx(4.6 * 2**30, rel=0.15)
    large = planner.estimate(LLAMA_8B, dataclasses.replace(plain, rank=8))
    assert large.total - large.overhead == pytest.approx(7.4 * 2**30, rel=0.15)
    qwen = {"batch_size": 1, "loss": "full", "optimiser": "adamw", "has_dropout": False}
    assert total(QWEN_2B, **qwen) == pytest.approx(7.8, rel=0.15)
    longest = {"rank": 32, "batch_size": 1, "length": 2972, "has_dropout": False}
    assert total(LLAMA_8B, checkpointing="offloaded", **longest) < 8 * 2**30 / GB  # Unsloth


@pytest.mark.parametrize(
    ("batch_size", "length", "has_pairs", "gb"),
    [(4, 192, False, 3.38), (1, 640, False, 2.61), (2, 192, True, 3.38)],
)
def test_a_processor_takes_what_was_measured(
    batch_size: int, length: int, has_pairs: bool, gb: float
) -> None:
    """Of the small model, by two steps of replies as long as the sequence."""
    how = dataclasses.replace(recipe.SMALL, batch_size=batch_size, max_seq_length=length)
    stage = recipe.DPO if has_pairs else recipe.SFT
    settings = planner.of_recipe(SMALL, how, stage, "cpu", "full")
    assert planner.estimate(SMALL, settings).total / GB == pytest.approx(gb, rel=0.15)


def test_every_backend_trains_as_the_loader_says() -> None:
    def of(backend: str, precision: str) -> Settings:
        return planner.of_recipe(SMALL, recipe.LARGE, recipe.SFT, backend, precision)

    assert of("unsloth", "nf4").checkpointing == "offloaded"
    assert of("cuda", "nf4").is_upcast and of("cuda", "nf4").optimiser == "paged_adamw_8bit"
    assert of("cuda", "full").weights == of("mps", "full").weights == "bf16"
    assert of("cpu", "full").weights == "float32" and not of("cpu", "full").checkpointing
    assert of("cpu", "full").has_dropout and not of("cpu", "full").has_pairs


def test_its_constants_are_those_of_the_trainer() -> None:
    losses = pytest.importorskip("model.losses", reason="needs requirements-train.txt")
    loading = pytest.importorskip("model.loading", reason="needs requirements-train.txt")
    assert losses.CHUNK_BYTES == planner.CHUNK_BYTES
    assert loading.SHORT == planner.SHORT


def test_tied_embeddings_are_not_trained() -> None:
    how = dataclasses.replace(recipe.LARGE, embeddings=True)
    with pytest.raises(UserError, match="leave out --embeddings"):
        planner.of_recipe(QWEN_3B, how, recipe.SFT, "cuda", "nf4")
    assert planner.of_recipe(QWEN_2B, how, recipe.SFT, "cuda", "nf4").embeddings == "lora"


def refusal(needs: Needs, gigabytes: float) -> str:
    with pytest.raises(UserError) as caught:
        planner.fits(needs, int(gigabytes * GB), "the card")
    return str(caught.value)


def test_what_fits_is_not_refused() -> None:
    planner.fits(planner.estimate(QWEN_3B, ASKED), int(8 * GB))


def test_a_refusal_names_two_ways_out_that_lead_out() -> None:
    settings = dataclasses.replace(ASKED, has_pairs=True, is_upcast=True)
    said = refusal(planner.estimate(QWEN_3B, settings), 8.6)
    assert "needs 9.0 GB" in said and "the card has 8.6 GB" in said
    assert "Either set --batch-size 1 (6.9 GB), or set --max-seq-length 1024 (6.9 GB)." in said
    smaller = (
        dataclasses.replace(settings, batch_size=1),
        dataclasses.replace(settings, length=1024),
    )
    for changed in smaller:
        planner.fits(planner.estimate(QWEN_3B, changed), int(8.6 * GB))


def test_what_one_change_does_not_cure_several_do() -> None:
    needs = planner.estimate(QWEN_3B, dataclasses.replace(ASKED, embeddings="whole", loss="full"))
    said = refusal(needs, 8.6)
    assert "leave out --embeddings and set --batch-size 1" in said and "smaller base" in said
    whole = dataclasses.replace(ASKED, weights="bf16", optimiser="adamw")
    assert "set --precision nf4" in refusal(planner.estimate(QWEN_3B, whole), 8.6)


def test_nothing_is_proposed_that_cannot_help() -> None:
    said = refusal(planner.estimate(QWEN_3B, ASKED), 2)
    assert "Either take a smaller base model, or train on a machine with more memory." in said
    whole = dataclasses.replace(ASKED, weights="float32", device="cpu", checkpointing="")
    assert "nf4" not in refusal(planner.estimate(QWEN_3B, whole), 100)


def test_a_plan_reads_well() -> None:
    lines = planner.describe(planner.estimate(QWEN_3B, ASKED))
    assert lines[0] == "3,086 million numbers in four bits, 119.7 million to train (rank 64)"
    assert lines[1] == "2 examples of up to 2048 tokens at a time"
    assert lines[2].split()[:3] == ["weights", "2.1", "GB"]
    assert lines[-1].split() == ["together", "5.7", "GB"]
    assert len({line.index(" GB") for line in lines[2:]}) == 1


def test_the_shape_is_read_from_config_json_and_from_gguf(
    tmp_path: Path, small_model: Path
) -> None:
    assert Shape.of(CONFIG) == QWEN_3B
    assert Shape.of({"text_config": CONFIG}) == QWEN_3B
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert Shape.of_folder(tmp_path) == QWEN_3B
    assert Shape.of_gguf(write_header(tmp_path / "3b.gguf", QWEN_3B)) == QWEN_3B
    untied = dataclasses.replace(LLAMA_8B, layers=2)
    assert Shape.of_gguf(write_header(tmp_path / "8b.gguf", untied, "llama")) == untied
    assert Shape.of_gguf(small_model) == SMALL
    assert SMALL.parameters == pytest.approx(135e6, rel=0.01)


@pytest.mark.parametrize("key", [key for key in CONFIG if key != "tie_word_embeddings"])
@pytest.mark.parametrize("value", [None, 0, -1, 1.5, "many", [], {}, True, 10**30])
def test_garbage_in_a_config_is_a_sentence(key: str, value: Any) -> None:
    if (key, value) != ("num_key_value_heads", None):
        with pytest.raises(UserError, match="cannot be"):
            Shape.of({**CONFIG, key: value})


@pytest.mark.parametrize("text", ["{}", "[]", '{"text_config": 3}', '{"text_config": null}', "{"])
def test_a_config_without_a_shape_is_a_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"damaged|Cannot read"):
        Shape.of_folder(tmp_path)
    with pytest.raises(UserError, match="--base-gguf"):
        Shape.of_folder(tmp_path / "nowhere")


def test_garbage_in_a_gguf_file_is_a_sentence(tmp_path: Path) -> None:
    header = write_header(tmp_path / "whole.gguf", dataclasses.replace(QWEN_3B, layers=2))
    whole = header.read_bytes()[:4000]
    dice = random.Random(1)
    path = tmp_path / "damaged.gguf"
    for _ in range(60):
        damaged = bytearray(whole[: dice.randrange(4, len(whole))])
        for _ in range(dice.randrange(4)):
            damaged[dice.randrange(4, len(damaged) + 1) - 1] = dice.randrange(256)
        path.write_bytes(b"GGUF" + damaged[4:])
        with pytest.raises(UserError):
            Shape.of_gguf(path)
    with pytest.raises(UserError, match="no model"):
        Shape.of_gguf(tmp_path / "nowhere.gguf")
