"""`tl predict`: a model or a server, and pictures."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tl.errors import PredictionError

if TYPE_CHECKING:
    from pipelines.predict import Prediction

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("target", metavar="MODEL_OR_URL")
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--ca", type=_FILE, help="PEM file of who signed the server's certificate. [default: whom "
    "this machine trusts]",
)  # fmt: skip
@click.option("--certificate", type=_FILE, help="PEM file that proves to the server who asks.")
@click.option("--key", type=_FILE, help="PEM file of the private key of --certificate.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one list.")
def predict(
    target: str,
    pictures: tuple[Path, ...],
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    as_json: bool,
) -> None:
    """Ask an exported model or a running server about pictures.

    MODEL_OR_URL is models/NAME, models/NAME/VERSION, http://HOST:PORT/NAME or
    grpc://HOST:PORT/NAME; with TLS https://HOST:PORT/NAME or grpcs://HOST:PORT/NAME.
    """
    if not target.startswith("http"):  # HTTP needs no TensorFlow
        from tl.cli.quiet import start_keras

        start_keras()
    from pipelines.predict import predict as run

    predictions, faults = run(target, pictures, ca=ca, certificate=certificate, key=key)
    _show(predictions, as_json)
    for fault in faults[:-1]:
        click.echo(f"error: {fault}", err=True)
    if faults:
        raise PredictionError(faults[-1])


def _show(predictions: "list[Prediction]", as_json: bool) -> None:
    if as_json:
        rows = [
            {"file": one.file, "labels": list(one.labels), "scores": list(one.scores)}
            | {
                name: value
                for name in ("abstain", "ood_score")
                if (value := getattr(one, name)) is not None
            }
            if one.value is None
            else {"file": one.file, "value": one.value}
            for one in predictions
        ]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    width = max((len(one.file) for one in predictions), default=0)
    for one in predictions:
        guesses = "  ".join(
            f"{label} {score:.3f}" for label, score in zip(one.labels, one.scores, strict=True)
        )
        said = guesses if one.value is None else f"{one.value:.6g}"
        click.echo(f"{one.file:<{width}}  {said}{_caution(one)}")


def _caution(one: "Prediction") -> str:
    """Say where the model would rather not have answered, and where it knows no such picture."""
    words = ["unsure: better ask a person"] if one.abstain else []
    if one.ood_score is not None and one.ood_score > 1:
        words.append(f"unlike the pictures it knows (ood_score {one.ood_score:.2g})")
    return f"  [{'; '.join(words)}]" if words else ""
