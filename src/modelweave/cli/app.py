"""The command `modelweave`: one subcommand a file, and how errors become one line and an exit status."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ..errors import ModelweaveError, printable
from ..version import VERSION
from .advise import advise
from .blend import blend
from .demo import demo
from .diff import diff
from .inspect import inspect
from .merge import merge
from .methods import methods
from .papers import papers
from .plan import plan
from .reproduce import reproduce
from .schema import schema

# typer has click built in or beside it, by version; the public names lead to either
_ClickException: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for _command in (merge, plan, inspect, diff, advise, blend, methods, papers, reproduce, schema, demo):
    app.command()(_command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"modelweave {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Compose trained models into a better one, and see that it is better.

    \b
    Example:
      modelweave methods ties             a recipe to start from
      modelweave plan recipe.yml          what it would do
      modelweave merge recipe.yml merged  do it
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0 done, 1 a claim that does not hold, 2 wrong input or usage, 130 interrupted. With MODELWEAVE_DEBUG=1 deliberate errors
    show where they come from, too.
    """
    command = typer.main.get_command(app)
    try:
        status = command.main(args=None if argv is None else list(argv), prog_name="modelweave", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except ModelweaveError as error:
        if os.environ.get("MODELWEAVE_DEBUG", "0") not in ("", "0"):
            traceback.print_exc()
        print(f"error: {printable(' '.join(str(error).splitlines()))}", file=sys.stderr)
        return error.exit_code
    except _ClickException as error:
        error.show()
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if error.filename is not None:  # not the output's
            raise
        # the interpreter's own flush at exit must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # whoever read the output has enough
            return 1
        print(f"error: the output cannot be written ({error.strerror}); make room for it", file=sys.stderr)
        return ModelweaveError.exit_code
    return status if isinstance(status, int) else 0
