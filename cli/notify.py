"""`recsys notify`: messages about failed runs, refused models and drift."""

from typing import Annotated

import typer
from rich.text import Text

from cli.console import out
from cli.options import HomeOption
from recsys.core.configuration import HOME_DEFAULT, load


def notify(
    home: HomeOption = HOME_DEFAULT,
    test: Annotated[bool, typer.Option("--test", help="Send a test message to each channel; change nothing.")] = False,
) -> None:
    """Set up notifications on the Prefect server: of failed runs, of embeddings that fail the gate, of drift.

    The channels are in the section [notify]: webhook, slack, email. Their addresses are secrets: put them into the
    environment (RECSYS_NOTIFY__SLACK, ...) or into the home's recsys.toml. Run the command again after a change.
    Without any channel it removes the notifications. 'recsys ui' does the same at its start.

    Examples:
        recsys notify --test
        recsys notify --home my-shop
    """
    from cli.servers import prefect_server

    channels = load(home).notify.channels
    with prefect_server(home):
        from cli import deployments

        if test:
            deployments.send_test(channels)
            out.print(Text(f"Sent to {', '.join(channels)}" if channels else "Not sent: [notify] has no channel"))
            return
        for automation in deployments.set_up_notifications(channels):
            out.print(Text(f"{automation}: notifies {', '.join(channels)}"))
    if not channels:
        out.print(Text("No notifications: [notify] has no channel."))
