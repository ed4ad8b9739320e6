"""Settings: one file, driven by environment variables.

DATABASE_URL                ``sqlite:///FILE`` or ``postgres://USER:PASSWORD@HOST:PORT/NAME``;
                            default: oms.sqlite3 in OMS_VAR_DIR
OMS_VAR_DIR                 where the database file, its lock and the generated secret live; default: var of the
                            checkout; an installed wheel has no default
OMS_SECRET_KEY              signs sessions and CSRF tokens; default: generated once into OMS_VAR_DIR
OMS_DEBUG                   tracebacks in the browser, never on a reachable address; default: off
OMS_ALLOWED_HOSTS           host names this service answers to, comma separated; default: localhost,127.0.0.1,[::1]
OMS_CSRF_TRUSTED_ORIGINS    origins such as https://oms.example behind a proxy, comma separated; default: none
OMS_PUBLIC_MARKET_DATA      instruments, books and trades without credentials; default: on
OMS_METRICS_NETWORKS        networks from which /metrics may be read without a key, comma separated; default: 127.0.0.0/8,::1
OMS_ENGINE                  embedded: one process serves and matches; remote: engines are processes of their own
                            (``run_engine``), which needs PostgreSQL and REDIS_URL; default: embedded
REDIS_URL                   ``redis://[:PASSWORD@]HOST:PORT/DB`` or ``rediss://``: commands, answers and the feed between
                            web processes and engines; only with OMS_ENGINE=remote
OMS_ALLOW_UNSAFE_STORAGE    for tests: start on a PostgreSQL that does not sync and a Redis that forgets; default: off
OMS_TRUSTED_PROXIES         networks of our own proxies, comma separated, whose X-Forwarded-For says who asks; default: none
OMS_LOG_FORMAT              text, or json: one object a line; default: text
OMS_LOG_COMMANDS            a line for every command, with its request and what became of it; default: off
OMS_HTTPS                   behind a proxy that ends TLS and sets X-Forwarded-Proto: secure cookies,
                            redirect, HSTS; default: off

A value that cannot be understood stops the start with ``ImproperlyConfigured``; nothing falls back in silence.
"""

import os
import secrets
import tempfile
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from oms_project import __version__, production

BASE_DIR = Path(__file__).resolve().parent.parent
# A wheel carries templates and static files inside this package, where a checkout has them beside it (see setup.py).
IN_CHECKOUT = (BASE_DIR / "manage.py").is_file()
ASSETS_DIR = BASE_DIR if IN_CHECKOUT else BASE_DIR / "oms_project"


def env_bool(name: str, default: bool) -> bool:
    """The variable as on or off; raises ``ImproperlyConfigured`` on any other word."""
    word = os.environ.get(name, "").strip().lower()
    if not word:
        return default
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ImproperlyConfigured(f"{name} must be on or off, not {word!r}.")


def env_list(name: str, default: str = "") -> list[str]:
    """The variable split at commas, blanks dropped."""
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]


def env_choice(name: str, *choices: str) -> str:
    """The variable as one of ``choices``, the first by default; raises ``ImproperlyConfigured`` on any other word."""
    word = os.environ.get(name, "").strip().lower() or choices[0]
    if word not in choices:
        raise ImproperlyConfigured(f"{name} must be {' or '.join(choices)}, not {word!r}.")
    return word


def env_networks(name: str, default: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The variable as networks, an address being one of one; raises ``ImproperlyConfigured`` on what is none."""
    try:
        return tuple(ip_network(item) for item in env_list(name, default))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be networks such as 10.1.0.0/16: {error}.") from None


def stored_secret(path: Path) -> str:
    """The secret kept in ``path``, made on first use with mode 0600.

    A complete file is linked into place, which only one of several starting processes can do: all read the winner's.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".secret_key.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(50))
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
    secret = path.read_text().strip()
    if len(secret) < production.MIN_SECRET_LENGTH:
        raise ImproperlyConfigured(f"{path} holds no usable secret: remove it to have a new one made.")
    return secret


# Every SQLite connection. WAL: readers never wait for the writer. FULL: a commit that was answered survives power loss.
# The size limit hands the log's disk space back after a burst; the page cache (KiB) lets the engine find its indexes' pages.
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-65536"
)

# IMMEDIATE: two writers queue for the lock for up to `timeout` seconds instead of failing half-way through.
SQLITE_OPTIONS = {"transaction_mode": "IMMEDIATE", "timeout": 5, "init_command": SQLITE_PRAGMAS}

# What a PostgreSQL address may carry after "?"; all go to libpq as they are.
POSTGRES_OPTIONS = frozenset(
    ("application_name", "connect_timeout", "sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs")
)


def sqlite_database(path: Path) -> dict[str, Any]:
    """Django's settings of a SQLite file. Tests get a file as well: threads cannot share a database in memory."""
    test = {"NAME": path.with_name(f"test_{path.name}")}
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": SQLITE_OPTIONS, "TEST": test}


def parse_database_url(url: str) -> dict[str, Any]:
    """Django's settings of ``url``.

    ``sqlite:///relative/to/the/project`` or ``sqlite:////absolute``; ``postgres://`` or ``postgresql://`` with percent
    escapes in user, password, host and name. Raises ``ImproperlyConfigured`` without the URL: it may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:  # its own words may hold the password, so they are not passed on
        raise ImproperlyConfigured("DATABASE_URL is not a valid URL (escape special characters as %XX).") from None
    name = unquote(parts.path[1:])
    if parts.fragment or not name or "\0" in name:
        raise ImproperlyConfigured("DATABASE_URL must name a database after the host, and have no '#' (write %23).")
    if parts.scheme == "sqlite":
        if parts.netloc or options or name.startswith(":memory:"):
            raise ImproperlyConfigured("DATABASE_URL for SQLite is sqlite:///FILE: no host, no '?', not in memory.")
        return sqlite_database(BASE_DIR / name)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:///, postgres:// or postgresql://.")
    if "/" in name or (unknown := options.keys() - POSTGRES_OPTIONS):
        problem = "the name holds a '/'" if "/" in name else f"unknown parameter {', '.join(sorted(unknown))}"
        raise ImproperlyConfigured(f"DATABASE_URL: {problem}; known are {', '.join(sorted(POSTGRES_OPTIONS))}.")
    return {
        "ENGINE": "oms_project.postgres",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(port or ""),
        "OPTIONS": options,
    }


def default_database() -> dict[str, Any]:
    """The SQLite file under ``VAR_DIR``, whose directory is made here so that any command works on a fresh clone."""
    VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    return sqlite_database(VAR_DIR / "oms.sqlite3")


# The service

if not IN_CHECKOUT and not Path(os.environ.get("OMS_VAR_DIR", "")).is_absolute():
    raise ImproperlyConfigured(
        "Installed from a wheel, the service needs a directory: set OMS_VAR_DIR to its absolute path."
    )
VAR_DIR = BASE_DIR / (os.environ.get("OMS_VAR_DIR") or "var")
OMS_PUBLIC_MARKET_DATA = env_bool("OMS_PUBLIC_MARKET_DATA", default=True)
OMS_METRICS_NETWORKS = env_networks("OMS_METRICS_NETWORKS", "127.0.0.0/8,::1")
OMS_ENGINE = env_choice("OMS_ENGINE", "embedded", "remote")
REDIS_URL = os.environ.get("REDIS_URL", "")
OMS_ALLOW_UNSAFE_STORAGE = env_bool("OMS_ALLOW_UNSAFE_STORAGE", default=False)
OMS_TRUSTED_PROXIES = env_networks("OMS_TRUSTED_PROXIES", "")
OMS_LOG_COMMANDS = env_bool("OMS_LOG_COMMANDS", default=False)
OMS_LOG_FORMAT = env_choice("OMS_LOG_FORMAT", "text", "json")
OMS_HTTPS = env_bool("OMS_HTTPS", default=False)

DEBUG = env_bool("OMS_DEBUG", default=False)
SECRET_KEY = os.environ.get("OMS_SECRET_KEY") or stored_secret(VAR_DIR / "secret_key")
ALLOWED_HOSTS = env_list("OMS_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env_list("OMS_CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "orders",
]

# All synchronous: under ASGI the whole chain is then one hop to a thread (see oms_project/middleware.py).
MIDDLEWARE = [
    "oms_project.middleware.MetricsMiddleware",
    "oms_project.middleware.RequestIdMiddleware",
    "oms_project.middleware.ClientAddressMiddleware",
    "oms_project.middleware.SecurityMiddleware",
    "oms_project.middleware.ContentSecurityPolicyMiddleware",
    "oms_project.middleware.WhiteNoiseMiddleware",
    "oms_project.middleware.SessionMiddleware",
    "oms_project.middleware.CommonMiddleware",
    "oms_project.middleware.CsrfViewMiddleware",
    "oms_project.middleware.AuthenticationMiddleware",
    "oms_project.middleware.MessageMiddleware",
    "oms_project.middleware.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "oms_project.urls"
ASGI_APPLICATION = "oms_project.asgi.application"
WSGI_APPLICATION = "oms_project.wsgi.application"
APPEND_SLASH = False  # a redirect would turn a POST into a GET

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ASSETS_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Database. A request's thread is its own, so one that Django keeps would never be used again: CONN_MAX_AGE stays 0. What web
# processes keep of PostgreSQL's, oms_project.postgres keeps for whichever thread is next.

DATABASES = {
    "default": {
        **(parse_database_url(os.environ["DATABASE_URL"]) if os.environ.get("DATABASE_URL") else default_database()),
        "CONN_MAX_AGE": 0,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Processes of their own for web and engines: what would not be safe there is refused, by every command.

if OMS_ENGINE == "remote":
    if not REDIS_URL or DATABASES["default"]["ENGINE"] != "oms_project.postgres":
        raise ImproperlyConfigured("OMS_ENGINE=remote needs REDIS_URL and a DATABASE_URL of PostgreSQL.")
    production.refuse_unsafe(debug=DEBUG, secret=os.environ.get("OMS_SECRET_KEY", ""), hosts=ALLOWED_HOSTS)
    CHANNEL_LAYERS = {"default": production.channel_layer(REDIS_URL)}

# Time and language: one zone, one language.

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
LANGUAGE_CODE = "en"

# Sign-in, sessions, cookies

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
SESSION_COOKIE_AGE = 12 * 3600  # seconds; a trading day, then sign in again
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True  # pages read the token from the document, never from the cookie
CSRF_COOKIE_SAMESITE = "Lax"

# Security headers; the Content-Security-Policy is in oms_project/middleware.py.

X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # bytes; a batch of 500 orders needs about a quarter of it

SESSION_COOKIE_SECURE = OMS_HTTPS
CSRF_COOKIE_SECURE = OMS_HTTPS
SECURE_SSL_REDIRECT = OMS_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # probes come from inside, over plain HTTP
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if OMS_HTTPS else 0
# Trusted only with OMS_HTTPS: without a proxy that overwrites it, anyone could send this header.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if OMS_HTTPS else None

# Static files straight from the packages and static/: no collectstatic. With OMS_DEBUG a changed file shows at once.

STATIC_URL = "/static/"
STATICFILES_DIRS = [ASSETS_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False

# REST

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "orders.api.authentication.ApiKeyAuthentication",
        "orders.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["orders.api.permissions.DenyByDefault"],
    "DEFAULT_RENDERER_CLASSES": ["orders.api.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["orders.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "orders.api.problems.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Order management service",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    # Pydantic has said everything: nothing to rename or to split afterwards.
    "POSTPROCESSING_HOOKS": [],
    "COMPONENT_SPLIT_PATCH": False,
    # From this server's own static files: the documentation works without the internet.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# Logs: lines on standard error, plain or JSON.

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "oms_project.logs.RequestIdFilter"}},
    "formatters": {
        "text": {
            "()": "oms_project.logs.UtcFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s",
        },
        "json": {"()": "oms_project.logs.JsonFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "filters": ["request_id"], "formatter": OMS_LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    # Django's own handlers (mail to admins, console only under DEBUG) give way to the root's.
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "daphne": {"level": "WARNING"},  # `serve` says where it listens
        "channels_redis": {"level": "CRITICAL"},  # the relay says itself, once, that Redis is away
    },
}
