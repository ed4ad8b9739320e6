"""The nginx configuration, tried by nginx itself."""

from pathlib import Path

import pytest

from tests.conftest import missing
from tests.support.nginx import Nginx
from tests.support.services import ServiceMissing


@pytest.fixture
def nginx(tmp_path: Path) -> Nginx:
    try:
        return Nginx(tmp_path / "nginx", rest=[1, 2], web=[4])
    except ServiceMissing as absence:
        missing(absence)
        raise


def test_nginx_accepts_it(nginx: Nginx) -> None:
    assert "warn" not in nginx.check()
