"""The service's own settings plus one route: a view that does nothing, to compare with."""

from oms_project.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.urls"
LOGGING = {"version": 1, "disable_existing_loggers": True}
