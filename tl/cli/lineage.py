"""`tl lineage`: where a version comes from."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("version", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def lineage(version: Path, as_json: bool) -> None:
    """Trace a served version back to pictures, settings, code and command.

    VERSION is its folder, such as models/flowers/7; the newest of a model's folder.
    """
    from pipelines.lineage import as_plain, trace

    found = trace(version)
    if as_json:
        click.echo(json.dumps(as_plain(found), indent=2, ensure_ascii=False))
        return
    rows = {
        "version": str(found.version),
        "labels": ", ".join(found.labels) or "none",
        "exported": found.exported,
        "run": f"{found.run}{'' if found.run_folder else ' (not in this folder)'}",
        "dataset": found.dataset,
        "pictures": ", ".join(f"{count:,} {side}" for side, count in found.pictures.items()),
        "fingerprint": found.fingerprint,
        "backbone": found.backbone,
        "code": found.git,
        "packages": ", ".join(f"{name} {number}" for name, number in found.versions.items()),
        "device": found.device,
    }
    if found.headline:
        name, value, interval = found.headline
        between = f", 95 % interval {interval[0]:.3f} to {interval[1]:.3f}" if interval else ""
        rows["measured"] = f"{name} {value:.4f}{between}"
    if found.weights_sha256:
        rows["weights"] = f"sha256 {found.weights_sha256}"
    for key, value in found.settings.items():
        rows.setdefault("settings", "")
        rows["settings"] += f"{', ' if rows['settings'] else ''}{key} = {value}"
    for number, line in enumerate(found.history):
        rows["promoted" + " " * number] = line
    rows["again"] = found.command
    for name, words in rows.items():
        click.echo(f"{name.strip():<11}  {words}")
