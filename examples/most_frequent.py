"""A model without gradients, whole: the most frequent relation of each pair of entity types, wherever there is one.

bench models check examples/most_frequent.py:MostFrequent
bench run --models examples/most_frequent.py:MostFrequent,atlop --seeds 1
"""

from collections import Counter, defaultdict

from bench.interface import CountingModel, Prediction, Recipe, Stage


class MostFrequent(CountingModel):
    """Every pair of entities whose types were ever related gets the relation that they most often had."""

    recipe = Recipe.one_then_the_other(human=Stage(data="human"), distant=Stage(data="distant"), ext=Stage(data="ext"))

    def fit(self, documents, dev, seed):
        counts = defaultdict(Counter)
        for document in documents:
            for label in document.labels:
                types = document.entity_type(label.head), document.entity_type(label.tail)
                counts[types][label.relation] += 1
        self.relation = {types: max(sorted(of), key=of.get) for types, of in counts.items()}

    def predict(self, documents):
        return [
            Prediction(document.title, head, tail, self.relation[types])
            for document in documents
            for head in range(len(document.entities))
            for tail in range(len(document.entities))
            if head != tail and (types := (document.entity_type(head), document.entity_type(tail))) in self.relation
        ]
