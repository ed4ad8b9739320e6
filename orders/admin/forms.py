"""Forms whose last word is Pydantic's and then the engine's.

Django's fields only hold and show the text. A request model (``orders.schemas.configuration``) says what is wrong with it,
and where the form stands for a command, the engine carries it out as the last step of validation: so a refusal, or an
engine that is away, is an error of the form, and nothing that was typed is lost. The instance is never written to.
"""

from typing import Any, ClassVar

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime, AdminTextInputWidget
from django.utils import timezone
from pydantic import BaseModel, ValidationError

from matching.values import ACCOUNT_STATE_NAMES, MAX_UNITS, SECOND_US
from orders import gateway
from orders.actors import OPERATE, SCOPES, Actor
from orders.admin.operating import problem_text
from orders.models import Account, ApiKey, Calendar, Instrument
from orders.schemas.configuration import AccountLimits, InstrumentDefinition, KeyRequest
from orders.schemas.decimals import from_units
from orders.schemas.problems import ProblemError, from_validation
from orders.selectors import instrument_exists
from orders.shards import shard_ids

# A pattern says little to people.
NOT_A_NAME = (
    "Capital letters, digits, dot, dash and underscore only, beginning with a letter or digit, and not too long."
)
NOT_A_DECIMAL = "Digits and at most one point, for example 0.25: no sign, no exponent."


class CheckedForm(forms.ModelForm):
    """See the module. ``actor`` is set by the admin for each request."""

    actor: ClassVar[Actor]
    schema: ClassVar[type[BaseModel]]

    def _post_clean(self) -> None:
        """In place of Django's, which would fill the instance and check it against the columns."""
        if self.instance.pk is not None and not self.has_changed():
            return
        try:
            self.carry_out(self.schema.model_validate(self.spoken()))
        except ValidationError as error:
            self._show(from_validation(error))
        except ProblemError as problem:
            self._show(problem)

    def spoken(self) -> dict[str, Any]:
        """What the form says, for the schema: its fields that were filled in."""
        names = self.schema.model_fields.keys() & self.cleaned_data.keys()
        return {name: self.cleaned_data[name] for name in names if self.cleaned_data[name] not in ("", None)}

    def carry_out(self, request: Any) -> None:
        """Do it, unless ``self.errors`` holds something already. Raises ``ProblemError``."""

    def _show(self, problem: ProblemError) -> None:
        for error in problem.errors:
            name, message = error["field"].split(".")[0], error["message"]
            if error["code"] == "string_pattern_mismatch":
                message = NOT_A_NAME if name in ("symbol", "base", "quote") else NOT_A_DECIMAL
            if name not in self.fields:
                self.add_error(None, f"{error['field']}: {message}")
            elif name not in self.errors:
                self.add_error(name, message)
        if not problem.errors:
            self.add_error(None, problem_text(problem))


def text_field(label: str, help_text: str = "", *, required: bool = True) -> forms.CharField:
    return forms.CharField(
        label=label, help_text=help_text, required=required, max_length=64, widget=AdminTextInputWidget
    )


class ShardField(forms.TypedChoiceField):
    """One of the shards there are, when the page is made; where there is only one, nobody is asked (``settle``)."""

    def __init__(self, help_text: str) -> None:
        super().__init__(label="Shard", coerce=int, help_text=help_text)

    @staticmethod
    def settle(form: forms.BaseForm, name: str) -> None:
        """Offer the shards, or take the field away."""
        shards = shard_ids(max_age_seconds=0)
        if len(shards) == 1:
            del form.fields[name]
        else:
            form.fields[name].choices = [(number, f"shard {number}") for number in shards]


# What an instrument is for good.
FIXED = ("symbol", "base", "quote", "price_decimals", "quantity_decimals")


class InstrumentForm(CheckedForm):
    """An instrument in decimals. On the change page symbol, currencies and decimals are not fields but facts."""

    schema = InstrumentDefinition

    symbol = text_field(
        "Symbol", "Capital letters, digits, dot, dash, underscore, for example ACME-USD. Fixed for good."
    )
    base = text_field("Base", "What is bought and sold. Fixed for good.")
    quote = text_field("Quote", "What it is priced in. Fixed for good.")
    price_decimals = forms.IntegerField(
        label="Price decimals",
        help_text="Decimals of every price, 0 to 12. Fixed for good: tick and collar can change.",
    )
    quantity_decimals = forms.IntegerField(
        label="Quantity decimals", help_text="Decimals of every quantity, 0 to 12. Fixed for good: the step can change."
    )
    price_tick = text_field("Price tick", "Prices are multiples of it, for example 0.01.")
    quantity_step = text_field("Quantity step", "Quantities are multiples of it, for example 0.001.")
    min_quantity = text_field("Minimum quantity", "Empty: one step.", required=False)
    max_quantity = text_field("Maximum quantity", "Empty: no limit.", required=False)
    max_notional = text_field("Maximum value", "Price times quantity of one order. Empty: no limit.", required=False)
    price_collar = text_field(
        "Price collar",
        "A fraction: 0.05 refuses prices more than 5 % worse than the last trade (before it: the reference price). "
        "Empty: no collar.",
        required=False,
    )
    circuit_breaker_seconds = forms.IntegerField(
        label="Circuit breaker, seconds",
        required=False,
        help_text="How long the auction lasts that begins when a market order meets the collar. Empty: none.",
    )
    reference_price = text_field(
        "Reference price", "What the collar is measured from until the first trade. Empty: none.", required=False
    )
    phase = forms.ChoiceField(
        label="To begin with",
        choices=[
            ("continuous", "open: orders are taken and matched at once"),
            ("halted", "halted: only cancels are taken"),
            ("closed", "closed: only cancels are taken"),
        ],
        help_text="Later: by hand, or by a calendar.",
    )
    calendar = forms.ModelChoiceField(
        Calendar.objects.all(),
        required=False,
        empty_label="none: phases are set by hand",
        help_text="Its sessions hold at once.",
    )

    shard_number = ShardField("Whose engine trades it. Its orders are paid with the money of that shard.")

    class Meta:
        model = Instrument
        fields = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        row = kwargs.get("instance")
        if row is not None:
            kwargs["initial"] = {**rules_in_decimals(row), **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)
        if row is not None:
            self.fields.pop("phase", None)
            self.fields.pop("shard_number", None)
        else:
            ShardField.settle(self, "shard_number")

    def spoken(self) -> dict[str, Any]:
        said = super().spoken()
        if self.instance.pk is not None:
            row = self.instance
            said |= {name: getattr(row, name) for name in FIXED}
        return said

    def carry_out(self, request: InstrumentDefinition) -> None:
        definition = request.to_command(self.instance.pk or 0)
        if self.instance.pk is None and instrument_exists(symbol=request.symbol):
            self.add_error("symbol", "is in use: an instrument keeps its symbol for good.")
        if self.errors or (self.instance.pk is not None and set(self.changed_data) <= {"calendar"}):
            return
        gateway.instrument_define(
            actor=self.actor, definition=definition, shard_id=self.cleaned_data.get("shard_number")
        )
        self.instance.pk = definition.instrument_id


def rules_in_decimals(row: Instrument) -> dict[str, Any]:
    """The form's texts of an instrument; what has no limit is empty."""
    quantity, price = row.quantity_decimals, row.price_decimals
    return {
        "price_tick": from_units(row.price_tick, price),
        "quantity_step": from_units(row.quantity_step, quantity),
        "min_quantity": from_units(row.min_quantity, quantity),
        "max_quantity": "" if row.max_quantity == MAX_UNITS else from_units(row.max_quantity, quantity),
        "max_notional": from_units(row.max_notional, price + quantity) if row.max_notional else "",
        "price_collar": from_units(row.collar_bps, 4) if row.collar_bps else "",
        "reference_price": from_units(row.reference_price, price) if row.reference_price else "",
        "circuit_breaker_seconds": row.breaker_us // SECOND_US or None,
        "calendar": row.calendar_id,
    }


class AccountForm(CheckedForm):
    """State and limits by command; the members are a plain relation, saved by the admin afterwards."""

    schema = AccountLimits

    state = forms.ChoiceField(
        label="State",
        choices=list(zip(ACCOUNT_STATE_NAMES, ("active", "reducing only", "halted"), strict=True)),
        help_text="Reducing only: orders must bring a position nearer to zero. Halted: only cancels are taken.",
    )
    max_open_orders = forms.IntegerField(
        label="Open orders", help_text="At most so many at a time. 0 takes no new orders."
    )
    max_order_quantity = forms.IntegerField(label="Quantity of an order, in units", help_text="0: no limit.")
    max_position = forms.IntegerField(
        label="Position, in units", help_text="Long or short, with open orders counted as if they filled. 0: no limit."
    )
    max_rate = forms.IntegerField(
        label="Messages a second", help_text="New orders and amends; cancels are not counted. 0: no limit."
    )
    funded = forms.BooleanField(
        label="Funded", required=False, help_text="It trades only what it can pay for, from what was paid in."
    )

    class Meta:
        model = Account
        fields = ("members",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        row = kwargs.get("instance")
        if row is not None:
            kwargs["initial"] = {
                "state": ACCOUNT_STATE_NAMES[row.state],
                "max_open_orders": row.max_open_orders,
                "max_order_quantity": row.max_order_quantity,
                "max_position": row.max_position,
                "max_rate": row.max_rate,
                "funded": row.funded,
                **(kwargs.get("initial") or {}),
            }
        super().__init__(*args, **kwargs)

    def carry_out(self, request: AccountLimits) -> None:
        if self.errors or not self.schema.model_fields.keys() & set(self.changed_data):
            return
        gateway.account_define(actor=self.actor, definition=request.to_command(self.instance.pk))


class NewKeyForm(CheckedForm):
    """A key to be made. Nothing is made here: the admin does, once the form is right."""

    schema = KeyRequest

    scopes = forms.MultipleChoiceField(
        label="Scopes",
        choices=[(scope, scope) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
        initial=["read"],
        help_text="read: market and own data. trade: place, amend, cancel. cancel: cancel only. operate: for staff.",
    )
    expires_at = forms.SplitDateTimeField(
        label="Expires (UTC)", required=False, widget=AdminSplitDateTime, help_text="Empty: never."
    )

    class Meta:
        model = ApiKey
        fields = ("user", "account", "name", "addresses")
        help_texts = {
            "user": "Must be a member of the account.",
            "name": "What the key is for.",
            "addresses": "Networks it may be used from, comma separated, for example 192.0.2.0/24. Empty: anywhere.",
        }

    def carry_out(self, request: KeyRequest) -> None:
        user, account = self.cleaned_data.get("user"), self.cleaned_data.get("account")
        expires_at = self.cleaned_data.get("expires_at")
        if expires_at is not None and expires_at <= timezone.now():
            self.add_error("expires_at", "is in the past.")
        if user is not None and account is not None and not account.members.filter(pk=user.pk).exists():
            self.add_error("user", "is not a member of the account.")
        if OPERATE in request.scopes:
            if user is not None and not user.is_staff:
                self.add_error("scopes", "operate is for staff: the user is not.")
            elif OPERATE not in self.actor.scopes:
                self.add_error("scopes", "Only a superuser gives the scope operate.")
