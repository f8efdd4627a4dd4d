"""All recipes by name. A new one is a value in a file of its own here, and one line in the table."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lgrin.options import check_option
from lgrin.training.recipe import Recipe
from lgrin.training.recipes.any_length import ANY_LENGTH
from lgrin.training.recipes.recommended import RECOMMENDED

RECIPES: dict[str, Recipe] = {
    "recommended": RECOMMENDED,
    "any_length": ANY_LENGTH,
}


def find_recipe(recipe: str | Recipe | Mapping[str, Any]) -> Recipe:
    """Finds a recipe.

    Args:
        recipe: A name in :data:`RECIPES`; a recipe; or arguments of :class:`lgrin.training.SequenceClassifier`, which
            replace those of the recommended recipe. The learning rate is that of a network without a bank.

    Returns:
        The recipe.

    Raises:
        ValueError: If there is none of this name.

    Example:
        >>> find_recipe("recommended").options["lr"], find_recipe({"lr": 0.01}).options
        (0.003, {'lr': 0.01})
    """
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, Mapping):
        return replace(RECOMMENDED, options=recipe)
    check_option("recipe", recipe, RECIPES)
    return RECIPES[recipe]


__all__ = ["RECIPES", "Recipe", "find_recipe"]
