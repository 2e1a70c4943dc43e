"""Tables against what is known of their runs from elsewhere (`bench.analysis.published.Evidence`)."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.audit.finding import Finding, Range
from bench.analysis.published import Evidence, Publication, Published, PublishedRow


def seeds_and_runs(published: Published) -> Iterator[Finding]:
    """Fewer seeds than are claimed, and scores of a single run that are printed as means over several."""
    for publication in published.publications:
        for known in publication.evidence:
            rows = [row for row in published.rows if row.source == publication.source and known.concerns(row)]
            for row in rows:
                yield from _single_run(row, known)
            yield from _fewer_seeds(rows, known, publication)
    for row in published.rows:
        if row.seeds == 1 and any(score.std is not None for score in row.scores.values()):
            yield Finding("fewer-seeds", "error", row.where, "a deviation over seeds is printed of a single one")


def _fewer_seeds(rows: list[PublishedRow], known: Evidence, publication: Publication) -> Iterator[Finding]:
    claimed = max((row.seeds or 0 for row in rows), default=0)
    if not known.seeds or len(known.seeds) >= claimed:
        return
    where = "; ".join(dict.fromkeys(f"{row.place}, {row.setting}, {row.name}" for row in rows))
    stated = f" ({publication.seeds_stated})" if publication.seeds_stated else ""
    ran = ("seed " if len(known.seeds) == 1 else "seeds ") + ", ".join(map(str, known.seeds))
    what = f"{claimed} seeds are claimed{stated}; what was released for it runs {ran}: {known.where}"
    yield Finding("fewer-seeds", "warning", where, what, {"claimed": claimed, "found": len(known.seeds)})


def _single_run(row: PublishedRow, known: Evidence) -> Iterator[Finding]:
    shared = [metric for metric in row.scores if metric in known.scores]
    same = all(Range.of(row.scores[m].mean).meets(Range(known.scores[m], known.scores[m])) for m in shared)
    if same and len(shared) >= 3 and any(row.scores[metric].std is not None for metric in shared):
        scores = ", ".join(f"{metric} {known.scores[metric]:.4f}" for metric in shared)
        what = f"printed as means with deviations, but equal to those of one run ({scores}): {known.where}"
        yield Finding("single-run", "error", row.where, what, {metric: known.scores[metric] for metric in shared})
