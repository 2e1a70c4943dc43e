"""The sample data set: the same anywhere, whole, and shaped so that the settings differ on it."""

import hashlib
import os
import subprocess
import sys
from collections import Counter

import pytest

from bench.data.documents import facts_of
from bench.data.sample import RELATIONS, SIZES, generate, generate_with_truth

HASH = """
import hashlib
from bench.data.sample import generate
print(hashlib.sha256(repr(sorted(generate(seed=0).items())).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def drawn():
    return generate_with_truth(seed=0)


@pytest.fixture(scope="module")
def splits(drawn):
    return drawn[0]


@pytest.fixture(scope="module")
def documents(splits):
    return [document for split in splits.values() for document in split]


def frequencies(documents):
    return Counter(label.relation for document in documents for label in document.labels)


def words_of(documents):
    return {word for document in documents for sentence in document.sentences for word in sentence}


def triples_of(documents):
    return set().union(*(document.triples() for document in documents))


@pytest.mark.parametrize("python_hash_seed", ["0", "123"])
def test_another_process_with_another_hash_seed_makes_the_same_documents(splits, python_hash_seed):
    environment = os.environ | {"PYTHONHASHSEED": python_hash_seed}
    made = subprocess.run([sys.executable, "-c", HASH], env=environment, capture_output=True, text=True, check=True)
    assert made.stdout.strip() == hashlib.sha256(repr(sorted(splits.items())).encode()).hexdigest()


def test_another_seed_makes_other_documents(splits):
    assert generate(seed=1)["test"] != splits["test"]


def test_the_size_of_distant_does_not_change_the_human_documents(splits):
    small = generate(seed=0, sizes={"distant": 10})
    assert len(small["distant"]) == 10
    assert all(small[split] == splits[split] for split in ("train", "dev", "test", "ext", "dev_ext"))


def test_the_splits_have_the_stated_sizes(splits):
    assert {split: len(splits[split]) for split in SIZES} == SIZES
    assert (len(splits["ext"]), len(splits["dev_ext"])) == (SIZES["train"], SIZES["dev"])


def test_every_mention_is_the_words_of_its_span(documents):
    for document in documents:
        for mentions in document.entities:
            for mention in mentions:
                assert document.sentences[mention.sentence][mention.start : mention.end] == tuple(mention.name.split())


def test_mentions_of_a_document_do_not_overlap(documents):
    for document in documents:
        places = [
            (mention.sentence, word)
            for mentions in document.entities
            for mention in mentions
            for word in range(mention.start, mention.end)
        ]
        assert len(places) == len(set(places))


def test_every_entity_is_mentioned_and_has_one_of_the_types_of_docred(documents):
    for document in documents:
        for mentions in document.entities:
            assert {mention.type for mention in mentions} in ({"PER"}, {"ORG"}, {"LOC"}, {"TIME"}, {"MISC"}, {"NUM"})


def test_all_types_occur_in_training(splits):
    types = {mentions[0].type for document in splits["train"] for mentions in document.entities}
    assert types == {"PER", "ORG", "LOC", "TIME", "MISC", "NUM"}


def test_documents_have_4_to_12_sentences_and_stay_short(documents):
    for document in documents:
        assert 4 <= len(document.sentences) <= 12
        assert 4 <= len(document.entities) <= 16
        markers = 2 * sum(len(mentions) for mentions in document.entities)
        assert sum(len(sentence) for sentence in document.sentences) + markers < 240


def test_labels_join_two_entities_by_a_known_relation_once_and_point_at_sentences(documents):
    for document in documents:
        assert len(document.triples()) == len(document.labels)
        for label in document.labels:
            assert label.relation in RELATIONS
            assert label.head != label.tail
            assert max(label.head, label.tail) < len(document.entities)
            assert all(0 <= sentence < len(document.sentences) for sentence in label.evidence)


def test_human_labels_all_have_evidence(splits):
    assert all(label.evidence for split in ("train", "dev", "test") for doc in splits[split] for label in doc.labels)


def test_entities_have_several_mentions_under_several_names(splits):
    mentions = [mentions for document in splits["train"] for mentions in document.entities]
    assert sum(len(each) for each in mentions) > 1.5 * len(mentions)
    assert sum(len({mention.name for mention in each}) > 1 for each in mentions) > 0.15 * len(mentions)


def test_relations_are_many_and_their_frequencies_unequal(splits):
    counts = frequencies(splits["train"])
    assert set(counts) == set(RELATIONS)
    assert len(RELATIONS) >= 20
    ordered = [count for _, count in counts.most_common()]
    assert ordered[0] >= 10 * ordered[-1]
    assert 0.6 < sum(ordered[:10]) / sum(ordered) < 0.9


def test_every_relation_of_training_occurs_in_test(splits):
    assert set(frequencies(splits["test"])) == set(RELATIONS)


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_15_to_50_percent_of_the_labels_join_entities_never_named_in_one_sentence(splits, split):
    apart = [
        {m.sentence for m in document.entities[label.head]}.isdisjoint(
            m.sentence for m in document.entities[label.tail]
        )
        for document in splits[split]
        for label in document.labels
    ]
    assert 0.15 < sum(apart) / len(apart) < 0.5


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_inverse_symmetric_and_implied_labels_are_all_there(splits, split):
    for document in splits[split]:
        holds = {(label.head, label.relation, label.tail) for label in document.labels}
        for head, relation, tail in holds:
            if relation in ("spouse", "sibling"):
                assert (tail, relation, head) in holds
            if relation == "child":
                assert (tail, "parent", head) in holds
            if relation == "parent":
                assert (tail, "child", head) in holds
        for place, implied in (
            ("located_in", "country"),
            ("headquarters", "country"),
            ("place_of_birth", "citizenship"),
        ):
            for head, _, town in (fact for fact in holds if fact[1] == place):
                for _, _, country in (fact for fact in holds if fact[:2] == (town, "country")):
                    assert (head, implied, country) in holds


@pytest.mark.parametrize(("source", "name"), [("train", "ext"), ("dev", "dev_ext")])
def test_ext_keeps_exactly_one_triple_of_each_relation_of_a_document(splits, source, name):
    for whole, kept in zip(splits[source], splits[name], strict=True):
        assert (kept.title, kept.sentences, kept.entities) == (whole.title, whole.sentences, whole.entities)
        assert set(kept.labels) <= set(whole.labels)
        assert sorted(label.relation for label in kept.labels) == sorted({label.relation for label in whole.labels})


def test_ext_keeps_20_to_35_percent_of_the_triples(splits):
    assert 0.2 < len(triples_of(splits["ext"])) / len(triples_of(splits["train"])) < 0.35


def test_distant_labels_are_partly_right_and_partly_missing(drawn):
    splits, truth = drawn
    assert [document.title for document in truth] == [document.title for document in splits["distant"]]
    distant, stated = triples_of(splits["distant"]), triples_of(truth)
    assert 0.6 < len(distant & stated) / len(distant) < 0.85
    assert 0.5 < len(distant & stated) / len(stated) < 0.7


def test_no_title_occurs_twice_outside_ext(splits):
    titles = [document.title for split in SIZES for document in splits[split]]
    assert len(titles) == len(set(titles))


def test_few_words_of_test_are_new(splits):
    test = words_of(splits["test"])
    assert len(test - words_of(splits["train"])) < 0.02 * len(test)


def test_some_test_facts_are_training_facts_so_that_ignoring_them_matters(splits):
    known = facts_of(splits["train"])
    seen = [
        any(
            (h.name, t.name, label.relation) in known
            for h in doc.entities[label.head]
            for t in doc.entities[label.tail]
        )
        for doc in splits["test"]
        for label in doc.labels
    ]
    assert 0.05 < sum(seen) / len(seen) < 0.25


def test_a_document_names_no_two_entities_the_same(documents):
    for document in documents:
        names = [{mention.name for mention in mentions} for mentions in document.entities]
        assert sum(len(each) for each in names) == len(set().union(*names))
