"""Whether the commands that deployments start exist, with those options."""

import os
import re
import shlex
from collections.abc import Mapping

from django.core.management import get_commands, load_command_class
from granian.cli import cli as granian

from oms_project import settings


def settings_variables() -> set[str]:
    """The environment variables that the settings tell of."""
    return set(re.findall(r"^([A-Z][A-Z_]+) ", settings.__doc__ or "", re.MULTILINE))


def check_command(text: str, environment: Mapping[str, str] = {}) -> None:
    """Raises where a deployment's command line would be refused. ``environment`` is what ``${NAME}`` in it stands for."""
    filled = re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], text)
    program, *arguments = shlex.split(filled)
    match os.path.basename(program):
        case "django-admin":
            name, *options = arguments
            command = load_command_class(get_commands()[name], name)
            command.create_parser("django-admin", name).parse_args(options)
        case "granian":
            context = granian.make_context("granian", arguments)
            assert context.params["app"] == "oms_project.wsgi:application"
            assert str(context.params["interface"]) == "wsgi"
        case _:
            raise AssertionError(f"what is {program}?")
