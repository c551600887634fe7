"""Help texts of the commands, made from the docstrings of their functions."""

import inspect
from collections.abc import Callable

import typer
from rich.markup import escape


def add_command(app: typer.Typer, function: Callable[..., None], panel: str | None = None) -> None:
    """Add a function as the command of the same name; its docstring is the help text.

    Line breaks within a paragraph go, since the terminal wraps the text. The lines after "Examples:" are printed as
    they are, at the end of the help.

    Args:
        app: the command group.
        function: the command; an underscore in its name becomes a dash.
        panel: the heading that lists the command in the help of the group.
    """
    text, _, examples = inspect.cleandoc(function.__doc__ or "").partition("\n\nExamples:\n")
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    help_text = escape("\n\n".join(paragraphs))
    app.command(help=help_text, epilog=example_block(examples), rich_help_panel=panel)(function)


def example_block(examples: str) -> str | None:
    """Return the end of a help text that lists examples, one a line; None if there are no examples."""
    return f"[bold]Examples[/bold]\n\n{escape(inspect.cleandoc(examples))}" if examples else None
