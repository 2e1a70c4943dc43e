from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bench.cli.evaluate import evaluate
from bench.errors import UsageError
from bench.filesystem import write_checksum

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(evaluate)


def document(title, labels):
    entities = [
        [{"name": f"{title}{i}", "pos": [i, i + 1], "sent_id": sentence, "type": "PER"}]
        for i, sentence in enumerate((0, 0, 1))
    ]
    row = {"title": title, "sents": [["w"] * 4, ["w"] * 4], "vertexSet": entities}
    return row if labels is None else {**row, "labels": labels}


@pytest.fixture
def files(tmp_path):
    """Two labels of which one was predicted and seen in training, one prediction of an unknown document."""

    def write(name, content):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
        return str(tmp_path / name)

    labels = [{"h": 0, "t": 1, "r": "P27", "evidence": [0]}, {"h": 0, "t": 2, "r": "P17", "evidence": []}]
    right = {"title": "a", "h_idx": 0, "t_idx": 1, "r": "P27", "evidence": [0]}
    return {
        "gold": write("gold.json", [document("a", labels)]),
        "unlabelled": write("test.json", [document("a", None)]),
        "pred": write("pred.json", [right, right, {**right, "title": "no such"}]),
        "facts": write("train.fact", [["a0", "a1", "P27"]]),
        "train": write("train.json", [document("a", labels[:1])]),
    }


def run(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def scores(*arguments):
    return json.loads(run(*arguments, "--json").stdout)


def test_json_has_exactly_the_promised_keys_in_percent(files):
    printed = scores("--gold", files["gold"], "--pred", files["pred"], "--train-facts", files["facts"])
    scored = {"f1", "ign_f1", "ign_f1_distant", "precision", "recall", "auc", "ign_auc"}
    assert set(printed) == {*scored, "checks", "slices"}
    assert (printed["f1"], printed["precision"], printed["recall"]) == (50.0, 50.0, 50.0)
    assert (printed["ign_f1"], printed["ign_f1_distant"]) == (0.0, None)


def test_json_has_every_slice_under_both_protocols(files):
    slices = scores("--gold", files["gold"], "--pred", files["pred"])["slices"]
    assert set(slices) == {"strict", "released"}
    for groups in slices.values():
        assert set(groups) == {"top_10", "top_5", "sentences", "rarity", "entities", "relation"}
    assert slices["strict"]["sentences"]["intra"]["precision"] == 100.0
    assert slices["released"]["sentences"]["intra"]["precision"] == 50.0
    assert slices["strict"]["top_10"]["top_10"]["relations"] == ["P17", "P27"]


def test_facts_come_from_a_fact_file_or_from_the_training_documents_alike(files):
    both = [
        scores("--gold", files["gold"], "--pred", files["pred"], "--train-facts", facts, "--distant-facts", facts)
        for facts in (files["facts"], files["train"])
    ]
    assert both[0] == both[1]
    assert both[0]["ign_f1_distant"] == 0.0


@pytest.mark.parametrize("content", ["[]", '\ufeff \n[ [ "Ada", "UK", "P27" ] ]'])
def test_a_fact_file_is_known_by_its_content_whatever_its_name(content, files, tmp_path):
    (tmp_path / "facts.json").write_text(content, encoding="utf-8")
    printed = scores("--gold", files["gold"], "--pred", files["pred"], "--train-facts", tmp_path / "facts.json")
    assert printed["ign_f1"] == printed["f1"] == 50.0


def test_ign_f1_is_null_without_facts_not_a_copy_of_f1(files):
    printed = scores("--gold", files["gold"], "--pred", files["pred"])
    assert printed["ign_f1"] is None
    assert printed["slices"]["strict"]["top_10"]["top_10"]["ign_f1"] is None


def test_notes_about_the_predictions_leave_stdout_alone(files):
    result = run("--gold", files["gold"], "--pred", files["pred"], "--json")
    assert json.loads(result.stdout)
    assert "1 duplicate prediction, counted once" in result.stderr
    assert "1 prediction of documents that gold.json lacks: 'no such'" in result.stderr
    assert "--train-facts" in result.stderr


def test_predictions_of_entities_the_document_lacks_are_noted_not_refused(files, tmp_path):
    path = tmp_path / "impossible.json"
    path.write_text('[{"title": "a", "h_idx": 0, "t_idx": 3, "r": "P27"}]', encoding="utf-8")
    result = run("--gold", files["gold"], "--pred", path, "--json")
    assert "1 prediction with entities that the document lacks" in result.stderr
    assert json.loads(result.stdout)["f1"] == 0.0


def test_the_table_shows_both_protocols(files):
    shown = run("--gold", files["gold"], "--pred", files["pred"], "--train-facts", files["facts"]).stdout
    for word in ("F1", "Ign F1", "macro F1", "evidence F1", "P strict", "P released", "intra", "all but top 10"):
        assert word in shown


def test_a_gold_file_without_labels_is_refused(files):
    with pytest.raises(UsageError, match=r"test\.json: none of its 1 document has labels"):
        run("--gold", files["unlabelled"], "--pred", files["pred"])


def test_training_documents_without_labels_are_refused_as_facts(files):
    with pytest.raises(UsageError, match="none of its 1 document has labels"):
        run("--gold", files["gold"], "--pred", files["pred"], "--train-facts", files["unlabelled"])


@pytest.mark.parametrize("option", ["--gold", "--pred", "--train-facts", "--distant-facts"])
def test_a_file_that_is_not_there_is_named(option, files, tmp_path):
    arguments = {"--gold": files["gold"], "--pred": files["pred"], option: str(tmp_path / "absent.json")}
    with pytest.raises(UsageError, match=r"absent\.json"):
        run(*[part for pair in arguments.items() for part in pair])


def test_what_is_odd_about_a_submission_is_counted_in_json_beside_the_facts(files):
    printed = scores("--gold", files["gold"], "--pred", files["pred"], "--train-facts", files["facts"])
    counts = printed["checks"]
    assert (counts["rows"], counts["duplicates"], counts["unknown_titles"], counts["self_pairs"]) == (3, 1, 1, 0)
    assert (counts["train_facts"], counts["distant_facts"]) == (1, None)


def test_an_empty_fact_file_is_told(files, tmp_path):
    (tmp_path / "empty.fact").write_text("[]")
    result = run("--gold", files["gold"], "--pred", files["pred"], "--train-facts", tmp_path / "empty.fact", "--json")
    assert "empty.fact has no facts: Ign F1 leaves nothing out and equals F1" in result.stderr
    (tmp_path / "empty.fact").write_text("")
    with pytest.raises(UsageError, match="empty file: expected facts"):
        run("--gold", files["gold"], "--pred", files["pred"], "--train-facts", tmp_path / "empty.fact")
    printed = json.loads(result.stdout)
    assert printed["checks"]["train_facts"] == 0
    assert printed["ign_f1"] == printed["f1"]


def test_relation_names_where_the_gold_file_has_ids_are_told(files, tmp_path):
    path = tmp_path / "names.json"
    path.write_text('[{"title": "a", "h_idx": 0, "t_idx": 1, "r": "country"}]')
    result = run("--gold", files["gold"], "--pred", path, "--json")
    assert "gold.json has no label of: 'country'; these are all predictions, so every score is 0" in result.stderr
    assert json.loads(result.stdout)["checks"]["unknown_relations"] == 1


def test_evidence_f1_is_of_the_first_row_of_a_repeated_prediction(files, tmp_path):
    right = {"title": "a", "h_idx": 0, "t_idx": 1, "r": "P27", "evidence": [0]}
    path = tmp_path / "twice.json"
    path.write_text(json.dumps([right, {**right, "evidence": [1]}]))
    table = run("--gold", files["gold"], "--pred", path).stdout
    header, _, row = [line for line in table.splitlines() if line.strip()][1:4]
    at = header.index("evidence F1")
    assert row[at : at + len("evidence F1")].strip() == "100.00"


def test_evidence_f1_is_not_there_where_no_label_has_evidence(files, tmp_path):
    gold = tmp_path / "bare.json"
    gold.write_text(json.dumps([document("a", [{"h": 0, "t": 1, "r": "P27"}])]))
    result = run("--gold", gold, "--pred", files["pred"])
    assert "no evidence F1: no label has evidence to compare with" in result.stderr
    header, _, row = [line for line in result.stdout.splitlines() if line.strip()][1:4]
    at = header.index("evidence F1")
    assert row[at : at + len("evidence F1")].strip() == "-"


def test_a_zipped_and_a_gzipped_submission_score_as_the_plain_one(files, tmp_path):
    plain = Path(files["pred"]).read_bytes()
    (tmp_path / "pred.json.gz").write_bytes(gzip.compress(plain))
    with zipfile.ZipFile(tmp_path / "pred.zip", "w") as archive:
        archive.writestr("result.json", plain)
    all_three = [
        scores("--gold", files["gold"], "--pred", path)
        for path in (files["pred"], tmp_path / "pred.json.gz", tmp_path / "pred.zip")
    ]
    assert all_three[0] == all_three[1] == all_three[2]


def test_the_form_of_the_documents_can_be_said(files, tmp_path):
    with pytest.raises(UsageError, match=r"Did you mean 'docred'\?"):
        run("--gold", files["gold"], "--pred", files["pred"], "--format", "docrd")
    assert scores("--gold", files["gold"], "--pred", files["pred"], "--format", "docred")["f1"] == 50.0
    with pytest.raises(UsageError, match=r"gold\.json"):
        run("--gold", files["gold"], "--pred", files["pred"], "--format", "cdr")


def test_auc_is_of_predictions_that_all_have_a_score(files, tmp_path):
    right = {"title": "a", "h_idx": 0, "t_idx": 1, "r": "P27", "score": 0.9}
    rows = [right, {**right, "h_idx": 1, "score": 0.8}, {**right, "t_idx": 2, "r": "P17", "score": 0.7}]
    path = tmp_path / "scored.json"
    path.write_text(json.dumps(rows))
    result = run("--gold", files["gold"], "--pred", path, "--train-facts", files["facts"], "--json")
    assert "AUC is of the 3 predictions listed" in result.stderr
    printed = json.loads(result.stdout)
    assert printed["auc"] == pytest.approx(50 + 50 * (1 / 2 + 2 / 3) / 2)
    assert printed["ign_auc"] == pytest.approx(50 * (0 + 1 / 2) / 2)
    path.write_text(json.dumps([right, *rows]))
    result = run("--gold", files["gold"], "--pred", path)
    assert "AUC is of the 3 predictions listed" in result.stderr  # as many as are ranked
    path.write_text(json.dumps([right, {**rows[1], "score": None}]))
    result = run("--gold", files["gold"], "--pred", path, "--json")
    assert "no AUC: only 1 of 2 predictions have a score" in result.stderr
    assert json.loads(result.stdout)["auc"] is None


def test_the_command_is_known_without_loading_what_it_needs():
    heavy = "{'rich.table', 'numpy', 'torch', 'bench.metrics.official'}"
    program = f"import sys, bench.cli.evaluate; print(sorted(set(sys.modules) & {heavy}))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_predictions_that_are_not_what_was_written_are_told(files):
    pred = Path(files["pred"])
    write_checksum(pred)
    before = run("--gold", files["gold"], "--pred", pred)
    assert "not what was written" not in before.stderr
    pred.write_text(pred.read_text().replace("P27", "P17"))
    result = run("--gold", files["gold"], "--pred", pred)
    assert f"{pred}: not what was written (its checksum is in pred.json.sha256)" in result.stderr


def test_facts_of_another_form_are_told_in_the_words_of_its_reader(files, tmp_path):
    text = "1|t|A title.\n1|a|B.\n1\t0\t1\tB\tChemical\tC1\n1\tCID\tC1\tC2\n"
    (tmp_path / "abstracts.txt").write_text(text)
    with pytest.raises(UsageError, match="line 3, mention = 'B': the text from 0 to 1 is \"A\""):
        run("--gold", files["gold"], "--pred", files["pred"], "--train-facts", tmp_path / "abstracts.txt")


def test_a_prediction_a_line_is_no_list(files, tmp_path):
    (tmp_path / "lines.json").write_text('{"title": "a"}\n{"title": "b"}\n')
    with pytest.raises(UsageError, match="found an object and more after it"):
        run("--gold", files["gold"], "--pred", tmp_path / "lines.json")
