"""The base model, made ready for LoRA on whatever this machine trains with.

An NVIDIA card holds the weights in four bits, through Unsloth where it imports and through
bitsandbytes otherwise; Apple's GPU and the CPU hold them whole. All come from `load`.
"""

import contextlib
import dataclasses
import importlib
import importlib.util
import io
import os
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from bot.config import UserError
from model import recipe as recipes
from model.recipe import Recipe

FUSED = {"q_proj": "qkv_proj", "k_proj": "qkv_proj", "v_proj": "qkv_proj"}
FUSED |= {"gate_proj": "gate_up_proj", "up_proj": "gate_up_proj"}  # in Phi-3
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SHORT = 512  # tokens: so far a CPU multiplies quicker than it runs torch's fused attention
EMBEDDINGS = ("embed_tokens", "lm_head")
_BAD_WEIGHTS = (OSError, ValueError, KeyError, RuntimeError, NotImplementedError)


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a training runs. `backend` is unsloth, cuda, mps or cpu; `why` is for people."""

    backend: str
    precision: str
    why: str

    @property
    def device(self) -> str:
        return "cuda" if self.backend == "unsloth" else self.backend

    @property
    def mixed(self) -> Any:
        """The 16-bit type that matrices are multiplied in, None for the weights' own."""
        if self.device == "cuda":
            return torch.bfloat16 if _gpu_has_bf16() else torch.float16
        return torch.bfloat16 if self.device == "cpu" and _cpu_has_bf16() else None

    def autocast(self) -> Any:
        """The context in which the model computes as it does while it is trained."""
        return torch.autocast(self.device, self.mixed, enabled=self.mixed is not None)


def choose(weights: Path | str, precision: str = recipes.AUTO) -> Place:
    """Where to train. Raises `UserError` where four bits are asked for and cannot be had."""
    is_gguf = str(weights).endswith(".gguf")
    missing = _missing_for_four_bits(is_gguf)
    if precision == "nf4" and missing:
        raise UserError(f"Four-bit training (--precision nf4) needs {missing}.")
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        if missing or precision == "full":
            reason = missing and f"; four bits need {missing}"
            return Place("cuda", "full", f"on {name}, weights whole{reason}")
        if _imports("unsloth"):
            return Place("unsloth", "nf4", f"on {name} with Unsloth, weights in four bits")
        reason = "Unsloth is not installed"
        return Place("cuda", "nf4", f"on {name}, weights in four bits by bitsandbytes; {reason}")
    if torch.backends.mps.is_available():
        return Place("mps", "full", "on Apple's GPU, weights whole")
    return Place("cpu", "full", "on the CPU, weights whole: torch sees no GPU")


def load(weights: Path | str, recipe: Recipe, place: Place) -> Any:
    """A PEFT model with a fresh adapter. Raises `UserError` for weights that cannot be trained."""
    torch.manual_seed(recipe.seed)  # the adapter begins at random
    if place.backend == "unsloth":
        return _unsloth(str(weights), recipe)
    model = base(weights, place)
    targets = _targets(model, recipe, str(weights))
    if place.precision == "nf4":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if place.device != "cpu":  # trades time for memory, which a CPU has
        model.enable_input_require_grads()
    elif recipe.max_seq_length <= SHORT:
        model.set_attn_implementation("eager")
    return get_peft_model(model, _lora(recipe, targets))


def base(weights: Path | str, place: Place) -> Any:
    """The base model as it is."""
    is_half = place.device == "mps" or (place.device == "cuda" and _gpu_has_bf16())
    options: dict[str, Any] = {"dtype": torch.bfloat16 if is_half else torch.float32}
    if place.device == "cuda":
        options["device_map"] = {"": int(os.environ.get("LOCAL_RANK", "0"))}
    if place.precision == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16 if is_half else torch.float16,
        )
    source, name = weights, str(weights)
    if name.endswith(".gguf"):
        options["gguf_file"], source = Path(weights).name, Path(weights).parent
    with _named(name), contextlib.redirect_stderr(io.StringIO()):  # it has a bar without a switch
        model = AutoModelForCausalLM.from_pretrained(str(source), **options)
    if "gguf_file" in options:
        model.is_quantized = False  # it was; these weights are plain floats now
    return model


def _unsloth(weights: str, recipe: Recipe) -> Any:
    unsloth = importlib.import_module("unsloth")
    with _named(weights):
        config = AutoConfig.from_pretrained(weights)
        if recipe.embeddings and config.tie_word_embeddings:
            raise _tied(weights)
        model, _ = unsloth.FastLanguageModel.from_pretrained(
            model_name=weights,
            max_seq_length=recipe.max_seq_length,
            load_in_4bit=True,
            dtype=None,
        )
        return unsloth.FastLanguageModel.get_peft_model(
            model,
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.dropout,
            target_modules=[*TARGETS, *(EMBEDDINGS if recipe.embeddings else ())],
            use_gradient_checkpointing="unsloth",
            random_state=recipe.seed,
        )


def _targets(model: Any, recipe: Recipe, weights: str) -> list[str]:
    present = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    targets = list(dict.fromkeys(n if n in present else FUSED.get(n, n) for n in TARGETS))
    if missing := [name for name in targets if name not in present]:
        raise UserError(
            f"{weights} has no layers named {', '.join(missing)}, so it cannot be trained here. "
            "Choose a base of the Llama, Mistral, Qwen, Gemma or Phi family."
        )
    if recipe.embeddings and model.config.get_text_config().tie_word_embeddings:
        raise _tied(weights)
    return targets + list(EMBEDDINGS if recipe.embeddings else ())


def _tied(weights: str) -> UserError:
    return UserError(
        f"{weights} uses one matrix as its input and its output embedding. Trained apart they "
        "could not be merged again, so --embeddings is refused. Leave it out: the rest suffices."
    )


def _lora(recipe: Recipe, targets: list[str]) -> LoraConfig:
    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )


def _gpu_has_bf16() -> bool:
    """Whether the card computes in bfloat16, as no GeForce before the 30 series and no T4 does."""
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 by itself; it trains twice as fast then."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def _missing_for_four_bits(is_gguf: bool) -> str:
    """What stands in the way of weights in four bits; "" for nothing."""
    if not torch.cuda.is_available():
        return "an NVIDIA card"
    if is_gguf:
        return "the base's original weights (--base-weights)"
    if not importlib.util.find_spec("bitsandbytes"):
        return "bitsandbytes (pip install bitsandbytes)"
    return ""


def _imports(name: str) -> bool:
    """Whether an optional package is there and works, whatever it raises if not."""
    if not importlib.util.find_spec(name):
        return False
    try:
        importlib.import_module(name)
    except Exception:
        return False
    return True


@contextlib.contextmanager
def _named(weights: str) -> Any:
    """Say which weights could not be loaded, and what to give instead."""
    try:
        yield
    except _BAD_WEIGHTS as error:
        reason = str(error).strip().splitlines() or ["no reason given"]
        raise UserError(
            f"Cannot load the base weights {weights}: {reason[0]} "
            "Give a folder with a Hugging Face model (config.json, *.safetensors) to --base-weights"
            " and a GGUF file of the same model to --base-gguf."
        ) from None
