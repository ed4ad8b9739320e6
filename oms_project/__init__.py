"""The Django project: settings, entry points, middleware. The service itself lives in ``orders`` and ``matching``."""

__version__ = "0.1.0"
