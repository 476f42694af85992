"""`tl doctor`: the diagnosis, line by line."""

import dataclasses
import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one list.")
def doctor(as_json: bool) -> int:
    """Say what works on this machine and what does not, and why; exit 1 where something fails."""
    from pipelines.doctor import examine
    from serving.startup_noise import without_startup_noise

    colours = {"ok": "green", "note": "yellow", "fault": "red"}
    findings = []
    with without_startup_noise():  # it starts TensorFlow to see whether it runs
        for finding in examine():
            findings.append(finding)
            if not as_json:
                mark = click.style(f"{finding.state:<5}", fg=colours[finding.state])
                click.echo(f"{mark}  {finding.subject:<24}  {finding.words}")
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in findings], indent=2))
    return 1 if any(one.state == "fault" for one in findings) else 0
