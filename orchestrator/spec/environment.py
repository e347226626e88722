"""``${NAME}`` and ``${NAME:-default}`` in a spec's strings; what they stand for is never told."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from affectgraph.perceivers.errors import BuildError

_ANY: Final = re.compile(r"\$\$\{|\$\{(?P<inner>[^}]*)(?P<end>\}?)")
_INNER: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>.*))?", re.DOTALL)


class Environment:
    """Fills in environment variables and remembers them as secrets.

    As in a shell, an empty variable counts as unset where a default is given.

    Args:
        variables: The variables; by default this process's.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables
        self._secrets: dict[str, str] = {}

    def fill(self, text: str) -> str:
        """Put the variables' values in; ``$${`` stands for ``${`` itself.

        Raises:
            BuildError: If a variable is not set and has no default.
        """

        def value(match: re.Match[str]) -> str:
            if match.group() == "$${":
                return "${"
            inner = _INNER.fullmatch(match["inner"])
            if inner is None or not match["end"]:
                raise BuildError("${ opens no variable; write ${NAME}, or $${ for the characters")
            name, default = inner["name"], inner["default"]
            found = self._variables.get(name)
            if found is None and default is None:
                raise BuildError(
                    f"the environment variable {name} is not set; set it, or write"
                    f" ${{{name}:-default}}"
                )
            if not found and default is not None:
                return default
            found = found or ""
            if found:
                self._secrets[found] = f"${{{name}}}"
            return found

        return _ANY.sub(value, text)

    def conceal(self, text: str) -> str:
        """A text with every value that was filled in replaced by its variable's name."""
        if not self._secrets:
            return text
        # The longest first: one value may hold another.
        values = sorted(self._secrets, key=len, reverse=True)
        pattern = "|".join(re.escape(value) for value in values)
        return re.sub(pattern, lambda match: self._secrets[match.group()], text)


def literal(text: str) -> str:
    """A text as a spec must hold it for :meth:`Environment.fill` to give it back unchanged."""
    return text.replace("${", "$${")
