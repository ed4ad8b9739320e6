"""What every operator's door of the admin shares: who acts, what a problem says, and being asked before it happens."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.template.response import TemplateResponse

from orders.actors import OPERATE, READ, Actor
from orders.schemas.problems import ProblemError

# The hidden field that tells the answer to "are you sure?" from the question.
CONFIRMED = "confirmed"


def operator(request: HttpRequest) -> Actor:
    """The signed-in staff user as an actor: for no account of their own."""
    return Actor(request.user.pk, request.user.get_username(), 0, "", frozenset((READ, OPERATE)))


def problem_text(problem: ProblemError) -> str:
    """A problem in a sentence for people, with what became of it."""
    if problem.outcome == "unknown":
        return f"{problem.detail} Whether it was carried out is not known: look before you try again."
    return f"{problem.detail} Nothing was changed."


def tell_problem(request: HttpRequest, about: Any, problem: ProblemError) -> None:
    messages.error(request, f"{about}: {problem_text(problem)}")


def confirmation(
    model_admin: admin.ModelAdmin,
    request: HttpRequest,
    *,
    title: str,
    question: str,
    objects: Iterable[Any],
    hidden: Iterable[tuple[str, Any]],
    button: str,
    back: str,
    form: forms.Form | None = None,
    is_question: bool = True,
) -> TemplateResponse:
    """The page that asks before something is done: it posts ``hidden`` and ``CONFIRMED`` to where it came from.

    ``form`` is what more is to be said with the answer. Where that has to come first, it is not the question yet, and
    ``CONFIRMED`` is left out.
    """
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": title,
        "question": question,
        "objects": objects,
        "hidden": [*hidden, (CONFIRMED, "1")] if is_question else hidden,
        "button": button,
        "back": back,
        "form": form,
        "media": model_admin.media,
    }
    return TemplateResponse(request, "admin/orders/confirm.html", context)
