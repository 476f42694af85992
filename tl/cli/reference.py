"""Write docs/cli.md from the commands themselves: ``python -m tl.cli.reference > docs/cli.md``."""

import sys

import click

from tl.cli.main import tl

WIDTH = 92


def reference() -> str:
    """Return the reference of every command as Markdown."""
    parts = [
        "# Every command and option\n",
        "Made by `python -m tl.cli.reference`; a test holds it to the commands.\n",
        "Exit codes: 0 done, 1 failure, 2 usage. Results go to stdout, progress to stderr.\n",
        _section("tl", tl, None),
    ]
    with click.Context(tl, info_name="tl") as parent:
        for name in tl.list_commands(parent):
            command = tl.get_command(parent, name)
            assert command is not None  # it is in the list
            parts.append(_section(f"tl {name}", command, parent))
            if isinstance(command, click.Group):
                with click.Context(command, info_name=name, parent=parent) as inner:
                    parts += [
                        _section(f"tl {name} {sub}", one, inner)
                        for sub, one in command.commands.items()
                    ]
    return "\n".join(parts)


def _section(title: str, command: click.Command, parent: click.Context | None) -> str:
    if title == "tl serve":
        return f"## {title}\n\nSee [serve.md](serve.md); `tl serve --help` lists its flags.\n"
    context = click.Context(
        command,
        info_name=title.split()[-1],
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
    )
    text = command.get_help(context).rstrip()
    body = "\n".join(f"    {line}".rstrip() for line in text.splitlines())
    return f"## {title}\n\n{body}\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
