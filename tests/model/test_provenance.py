"""A model's folder answers whom it learned from, also after a person was erased."""

import json
from pathlib import Path

import pytest

from model import export, provenance

IDS = [1_100_000_000_000_000_000 + number for number in range(50)]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.json"
    hashes = [provenance.message_hash(number) for number in IDS[:40]]
    path.write_text(json.dumps({"train": 40, "message_hashes": hashes}))
    return path


@pytest.fixture
def trained(tmp_path: Path, manifest: Path) -> Path:
    folder = tmp_path / "models" / "training" / "one"
    folder.mkdir(parents=True)
    provenance.keep(manifest, folder)
    return folder


def test_a_model_is_found_by_any_message_it_learned_from(tmp_path: Path, trained: Path) -> None:
    models = tmp_path / "models"
    assert provenance.learned_from(models, [5, IDS[39], 6]) == [trained]
    assert provenance.learned_from(models, IDS[40:]) == []
    assert provenance.learned_from(models, []) == []
    assert provenance.learned_from(tmp_path / "nowhere", IDS) == []


def test_marking_a_person_twice_counts_once(tmp_path: Path, trained: Path) -> None:
    assert provenance.erased_people(trained) == 0
    assert [provenance.mark_erased(trained, user) for user in (7, 7, 8)] == [1, 1, 2]
    assert provenance.erased_people(trained) == 2
    assert provenance.learned_from(tmp_path / "models", [IDS[0]]) == [trained]


def test_the_mark_goes_with_the_exported_model(tmp_path: Path, trained: Path) -> None:
    provenance.mark_erased(trained, 7)
    exported = tmp_path / "models" / "finetuned" / "one"
    exported.mkdir(parents=True)
    provenance.keep(trained / provenance.DATA, exported)
    assert provenance.erased_people(exported) == 1
    assert len(provenance.learned_from(tmp_path / "models", [IDS[0]])) == 2


def test_a_model_from_elsewhere_is_found_by_a_person_alone(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "finetuned" / "brought"
    folder.mkdir(parents=True)
    facts = {"people_hashes": [provenance.message_hash(77)]}
    (folder / provenance.DATA).write_text(json.dumps(facts))
    assert provenance.learned_from(tmp_path / "models", [77]) == [folder]
    assert provenance.learned_from(tmp_path / "models", [78]) == []


def test_models_without_an_answer_are_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "training" / "old"
    folder.mkdir(parents=True)
    provenance.keep(tmp_path / "no manifest", folder)
    assert not list(folder.iterdir())
    for garbage in ("[]", "{", "", '{"message_hashes": []}'):
        (folder / provenance.DATA).write_text(garbage)
        assert provenance.learned_from(tmp_path / "models", IDS) == []
        assert provenance.erased_people(folder) == 0


def test_an_exported_model_and_its_row_know_of_the_erased(
    tmp_path: Path, manifest: Path, tiny_model: Path
) -> None:
    pytest.importorskip("peft")
    from tests.model.adapted import a_run

    run, _ = a_run(tmp_path / "models", tiny_model)
    provenance.keep(manifest, run.folder)
    provenance.mark_erased(run.folder, 7)
    exported = export.export(run, tmp_path / "models", "F16")
    assert export.row(exported).erased_people == 1
    found = provenance.learned_from(tmp_path / "models", [IDS[0]])
    assert found == [exported.path.parent, run.folder]
