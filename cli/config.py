"""`recsys config`: print the effective configuration."""

import json

from cli.console import out, print_json, table
from cli.options import HomeOption, JsonOption
from recsys.core.configuration import HOME_DEFAULT, explain


def config(home: HomeOption = HOME_DEFAULT, as_json: JsonOption = False) -> None:
    """Print the effective configuration: each setting, its value, and the source of the value.

    Set a value in HOME/recsys.toml. An environment variable, such as RECSYS_IMAGES__TIMEOUT_S=5, overrides the file; an
    option on the command line overrides both. RECSYS_CONFIG names another file.

    Examples:
        recsys config
        RECSYS_IMAGES__TIMEOUT_S=5 recsys config --json
    """
    settings = explain(home)
    if as_json:
        print_json({setting.key: {"value": setting.value, "source": setting.source} for setting in settings})
        return
    rows = [(s.key, json.dumps(s.value, ensure_ascii=False, default=str), s.source) for s in settings]
    out.print(table(f"Configuration of {home}", ["key", "value", "from"], rows))
