"""`bench predict`: a trained run on a file of documents, in DocRED's official submission form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.chosen_runs import RunArgument
from bench.cli.options import DEFAULT_OUT, OutOption, OwnModelsOption, TrustCodeOption


def predict(
    run: RunArgument,
    documents: Annotated[
        Path, typer.Argument(help="Documents in any form `bench data add` reads; labels are not looked at.")
    ],
    to: Annotated[
        Path, typer.Option(help="Where to write the predictions; to a name in .zip, what DocRED's server takes.")
    ] = Path("result.json"),
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            help="Documents read at once, or as many word pieces as they may have. Default: those of a batch of the "
            "training. The triples depend on it where pairs see those of other documents, as ttmre-released's do; "
            "else by rounding alone. A counting model reads one at a time.",
        ),
    ] = None,
    out: OutOption = DEFAULT_OUT,
    models: OwnModelsOption = None,
    trust_code: TrustCodeOption = False,
) -> None:
    """Predict relations in documents with a finished run."""
    from bench.cli.chosen_runs import folder_of
    from bench.cli.options import trust_of
    from bench.cli.output_paths import check_file
    from bench.errors import plural

    folder = folder_of(run, out)
    check_file(to, "--to")
    trust = trust_of(trust_code, models)
    import torch

    from bench.cores import find_cores
    from bench.inference.finished_run import predict_file
    from bench.runs.names import model_name

    torch.set_num_threads(find_cores().threads())
    predicted = predict_file(folder, documents, to, trust, batch_size)
    by = f"{model_name(predicted.plan.model, predicted.plan.variant)}, trained on {predicted.plan.dataset}"
    typer.echo(f"{plural(predicted.triples, 'triple')} of {plural(predicted.documents, 'document')} in {to}, by {by}")
    if cut := predicted.mentions_cut:
        lie = "lies past the length limit and was" if cut == 1 else "lie past the length limit and were"
        typer.echo(f"{plural(cut, 'mention')} {lie} not seen", err=True)
