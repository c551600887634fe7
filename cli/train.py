"""`recsys train`: train the classifier and the embedding."""

from typing import Annotated, get_args

import typer

from cli.flow_runs import MIN_FREE, run_flow
from cli.options import HomeOption, JsonOption
from cli.status import print_next_steps
from flows import Trainable
from recsys.core.configuration import HOME_DEFAULT, Configuration, load


def train(
    model: Annotated[
        Trainable | None, typer.Argument(metavar="MODEL", help="classifier or embedding. \\[default: both]")
    ] = None,
    home: HomeOption = HOME_DEFAULT,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A recipe by name, or a .toml file of your own. "
            "\\[default: the settings classifier.recipe, embedding.recipe]"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train the models on the shop's current data.

    The classifier fills missing labels; the embedding measures how similar two products look. 'recsys run' trains each
    once and reuses it. Training again with the same data and recipe does nothing; an interrupted training continues
    after its last epoch. A new embedding serves only if it passes the gate: better at one level of the category path
    and worse at none, on products that no training uses. Otherwise the previous embedding keeps serving; 'recsys
    models' shows both.

    Examples:
        recsys train
        recsys train classifier
        recsys train embedding --recipe fine_tuning
    """
    from recsys.storage.home import require_space
    from recsys.storage.lock import lock
    from recsys.storage.store import Store

    if recipe and model is None:
        raise typer.BadParameter("name the model of the recipe: recsys train classifier, or recsys train embedding")
    flags = {str(model): {"recipe": recipe}} if recipe and model else {}
    configuration = load(home, flags)
    for trainable in [model] if model else get_args(Trainable):
        _check_recipe(trainable, configuration)
    Store(home, read_only=True)
    with lock(home):
        require_space(home, MIN_FREE)
        run_flow("train", home, {"flags": flags, **({"what": [model]} if model else {})}, as_json=as_json)
        if not as_json:
            print_next_steps(home)


def _check_recipe(model: Trainable, configuration: Configuration) -> None:
    """Raise ConfigurationError for a wrong recipe, before a server is started."""
    from recsys.models.classifier.recipe import load_recipe as load_classifier_recipe
    from recsys.models.embedding.recipe import load_recipe as load_embedding_recipe

    if model == "classifier":
        load_classifier_recipe(configuration.classifier.recipe)
    else:
        load_embedding_recipe(configuration.embedding.recipe)
