"""Where web processes and engines are processes of their own (``OMS_ENGINE=remote``): what that takes, what it refuses.

Several processes serve one market to strangers: what would do for one developer's machine stops the start here, whatever the
command is.
"""

import socket
from typing import Any

from django.core.exceptions import ImproperlyConfigured

# Django's own bound for a key that is not weak.
MIN_SECRET_LENGTH = 50
MIN_SECRET_CHARACTERS = 5

# A connection on which nothing is heard is a dead one after some seconds: when the kernel begins to probe it, how often, how
# many probes, and (milliseconds) how long what was sent may go unacknowledged.
KEEPALIVE = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 5_000}


def refuse_unsafe(*, debug: bool, secret: str, hosts: list[str]) -> None:
    """Raises ``ImproperlyConfigured`` with the first thing that must not be so."""
    if debug:
        raise ImproperlyConfigured("OMS_DEBUG must be off with OMS_ENGINE=remote: it shows the insides to anyone.")
    if not secret:
        raise ImproperlyConfigured(
            "OMS_ENGINE=remote needs OMS_SECRET_KEY, the same for all processes: a generated one is one machine's alone."
        )
    is_weak = len(secret) < MIN_SECRET_LENGTH or len(set(secret)) < MIN_SECRET_CHARACTERS
    if is_weak or secret.startswith("django-insecure-"):
        raise ImproperlyConfigured(
            f"OMS_SECRET_KEY must be {MIN_SECRET_LENGTH} random characters or more: it signs every session."
        )
    if "*" in hosts:
        raise ImproperlyConfigured(
            "OMS_ALLOWED_HOSTS must name the hosts with OMS_ENGINE=remote: with * links lead wherever a request says."
        )


def channel_layer(url: str) -> dict[str, Any]:
    """Channels' settings for the feed between processes: a message reaches whoever listens now, and is kept nowhere."""
    options = {getattr(socket, name): value for name, value in KEEPALIVE.items() if hasattr(socket, name)}
    host = {
        "address": url,
        "health_check_interval": 2,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "socket_keepalive_options": options,
    }
    return {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [host]}}
