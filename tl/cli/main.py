"""The `tl` command: subcommands loaded when they are called, errors as one line."""

import errno
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from tl.errors import TlError, nearest
from tl.promotion import folders_with_work

# Command -> (module below tl.cli, one line for --help), in the order of the way data goes.
# The line stands here so that `tl --help` imports no command.
COMMANDS = {
    "finetune": "Fine-tune a pretrained backbone on a folder of pictures and export it.",
    "augment": "Write a contact sheet of augmented training pictures.",
    "check": "Say what is wrong with a dataset before anything is trained on it.",
    "choose": "Rank the backbones that are at hand on your pictures, before training.",
    "evaluate": "Measure an exported model on labelled pictures.",
    "predict": "Classify pictures with an exported model or a running server.",
    "serve": "Answer HTTP and gRPC predictions with TensorFlow Serving's protocol.",
    "export": "Write the SavedModel again from a run's weights.",
    "runs": "List the runs here, the best, and what is in production.",
    "compare-runs": "Say whether one run's model is better than another's, or whether it is noise.",
    "report": "Write the report and the model card of a run again.",
    "promote": "Let a label such as champion stand for a run's model, for servers and in MLflow.",
    "rollback": "Let a label stand for the version that it stood for before.",
    "lineage": "Trace a served version back to pictures, settings, code and command.",
    "experiments": "Browse the runs in MLflow's web interface.",
    "zoo": "List the backbones, their size, and whether their weights are here; compare them.",
    "summary": "Describe a network layer by layer: shapes, memory, weights, multiply-adds.",
    "weights": "List, fetch and verify files of pretrained weights.",
    "doctor": "Say what works on this machine and what does not, and why.",
    "track": "Send runs that the experiment store missed.",
    "pretrain": "Train a backbone from random weights, as the shipped one was.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order of the way data goes."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, or return None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"tl.cli.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for a mistyped one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}; {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the list without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tl", prog_name="tl")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def tl(ctx: click.Context, debug: bool) -> None:
    """Transfer learning for pictures: from a folder of labelled pictures to a served model."""
    ctx.obj = {"debug": debug}
    # A label was being moved when all ended, or a store did not take it.
    for models in folders_with_work():
        from pipelines.promote import finish_interrupted

        waits = ctx.invoked_subcommand not in ("serve", "predict", "runs")
        finish_interrupted(models, lambda line: click.echo(line, err=True), tell_store=waits)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit 0, 1 (failure) or 2 (usage)."""
    # Read by TensorFlow when it is imported. Its C++ errors reach users as exceptions, too; the
    # lines alone are about GPUs that are not there.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)  # of what is not installed, as JAX
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status: Any = tl.main(words, prog_name="tl", standalone_mode=False)
    except TlError as error:
        if "--debug" in words:
            raise
        _complain(str(error))
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" See `{context.command_path} --help`" if context else ""
        message = error.format_message().replace("\n", " ")
        _complain(f"{message}{'' if message.endswith(('.', '?', ')')) else '.'}{hint}")
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _complain("stopped by Ctrl-C")
        sys.exit(1)
    except BrokenPipeError:  # the reader of a pipe went away, as `| head` does
        _forget_output()
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC or "--debug" in words:
            raise
        _complain(
            f"the disk of {error.filename or 'the file that the output goes to'} is full; make "
            "room and type the command again"
        )
        _forget_output()
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _forget_output() -> None:
    """Let Python write what is left of the output to nowhere, when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)


if __name__ == "__main__":
    main()
