"""A request leaves nothing behind that only garbage collection would find."""

import gc

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory


@pytest.mark.parametrize("path", ["/api/v1/orders", "/api/v1/instruments", "/api/v1/no-such-thing"])
def test_a_request_goes_with_its_answer(db, path):
    handler = WSGIHandler()
    for _ in range(3):
        handler.get_response(RequestFactory().get(path)).close()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            handler.get_response(RequestFactory().get(path)).close()
        assert gc.collect() < 10
    finally:
        gc.enable()
