"""Stops, icebergs, linked orders, expiries, leases, schedules: their columns, and what the database can check of them.

Events before this release get the status their order had after them; it follows from kind, remainder and filled quantity.
"""

import django.db.models.deletion
from django.db import migrations, models

import orders.fields

# accepted, filled, amended, replaced, decremented: new, partially_filled or filled. (2: rejected, 8: canceled.)
_TELL_STATUS = """
UPDATE orders_event SET status = CASE
    WHEN kind = 2 THEN 5
    WHEN kind = 8 THEN 4
    WHEN remaining = 0 THEN 3
    WHEN filled > 0 THEN 1
    ELSE 0
END
WHERE order_id IS NOT NULL
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]

    operations = [
        # Accounts: the message rate, and whether they pay for what they do.
        migrations.RemoveConstraint(
            model_name='account',
            name='account_limits',
        ),
        migrations.AddField(
            model_name='account',
            name='max_rate',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='account',
            name='rate_at',
            field=models.BigIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name='account',
            name='funded',
            field=models.BooleanField(default=False),
        ),
        migrations.AddConstraint(
            model_name='account',
            constraint=models.CheckConstraint(condition=models.Q(('max_open_orders__gte', 0), ('max_order_quantity__gte', 0), ('max_position__gte', 0), ('max_rate__gte', 0), ('rate_at__gte', 0)), name='account_limits'),
        ),
        # Instruments: the circuit breaker, the end of a phase, the schedule, where trailing stops stand.
        migrations.RemoveConstraint(
            model_name='instrument',
            name='instrument_rules',
        ),
        migrations.AddField(
            model_name='instrument',
            name='breaker_us',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='instrument',
            name='phase_until',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='instrument',
            name='schedule',
            field=models.TextField(default='[]'),
        ),
        migrations.AddField(
            model_name='instrument',
            name='trails',
            field=models.TextField(default='{"buy":[],"sell":[]}'),
        ),
        migrations.AddConstraint(
            model_name='instrument',
            constraint=models.CheckConstraint(condition=models.Q(('breaker_us__gte', 0), ('max_quantity__gte', models.F('min_quantity')), ('max_quantity__lte', 9007199254740991), ('min_quantity__gt', 0), ('price_tick__gt', 0), ('quantity_step__gt', 0), ('reference_price__gte', 0)), name='instrument_rules'),
        ),
        migrations.AddConstraint(
            model_name='instrument',
            constraint=models.CheckConstraint(condition=models.Q(('phase_until', 0), models.Q(('phase_until__gt', 0), models.Q(('phase', 3), _negated=True)), _connector='OR'), name='instrument_phase_until'),
        ),
        # Orders.
        migrations.RemoveConstraint(
            model_name='order',
            name='order_price',
        ),
        migrations.AddField(
            model_name='order',
            name='display_quantity',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='order',
            name='expires_at',
            field=orders.fields.MicrosField(null=True),
        ),
        migrations.AddField(
            model_name='order',
            name='group_id',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='order',
            name='hidden',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='order',
            name='role',
            field=models.SmallIntegerField(choices=[(0, ''), (1, 'oco_limit'), (2, 'oco_stop'), (3, 'entry'), (4, 'take_profit'), (5, 'stop_loss')], default=0),
        ),
        migrations.AddField(
            model_name='order',
            name='stop_price',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='order',
            name='trail',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='order',
            name='trail_bps',
            field=models.IntegerField(null=True),
        ),
        migrations.AlterField(
            model_name='order',
            name='reason',
            field=models.SmallIntegerField(choices=[(0, ''), (1, 'ioc'), (2, 'fok'), (3, 'no_liquidity'), (4, 'self_trade'), (5, 'amended_to_filled'), (6, 'user_request'), (7, 'operator_request'), (8, 'unknown_symbol'), (9, 'market_halted'), (10, 'market_closed'), (11, 'account_halted'), (12, 'account_reducing_only'), (13, 'price_not_on_tick'), (14, 'quantity_not_on_step'), (15, 'quantity_below_minimum'), (16, 'risk_max_quantity'), (17, 'price_collar'), (18, 'risk_max_notional'), (19, 'risk_max_open_orders'), (20, 'risk_max_position'), (21, 'post_only_would_cross'), (22, 'order_not_found'), (23, 'not_amendable'), (24, 'version_conflict'), (25, 'duplicate_order_id'), (26, 'invalid_request'), (27, 'day'), (28, 'gtd'), (29, 'linked_order'), (30, 'linked_order_refused'), (31, 'cancel_after'), (32, 'market_not_continuous'), (33, 'too_late_to_cancel'), (34, 'too_late_to_amend'), (35, 'display_quantity_too_small'), (36, 'too_many_trailing_stops'), (37, 'rate_limited'), (38, 'schedule'), (39, 'circuit_breaker'), (40, 'insufficient_funds')]),
        ),
        migrations.AlterField(
            model_name='order',
            name='time_in_force',
            field=models.SmallIntegerField(choices=[(0, 'gtc'), (1, 'ioc'), (2, 'fok'), (3, 'day'), (4, 'gtd')]),
        ),
        migrations.AlterField(
            model_name='order',
            name='type',
            field=models.SmallIntegerField(choices=[(0, 'limit'), (1, 'market'), (2, 'stop'), (3, 'stop_limit'), (4, 'trailing_stop')]),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('price__gt', 0), ('price__isnull', False), ('type__in', (0, 3))), models.Q(models.Q(('type__in', (0, 3)), _negated=True), ('price__isnull', True)), ('status', 5), _connector='OR'), name='order_price'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('stop_price__isnull', True), ('trail__isnull', True), ('trail_bps__isnull', True), ('type__lt', 2)), models.Q(('stop_price__gt', 0), ('stop_price__isnull', False), ('trail__isnull', True), ('trail_bps__isnull', True), ('type__in', (2, 3))), models.Q(('type', 4), models.Q(models.Q(('trail__gt', 0), ('trail__isnull', False), ('trail_bps__isnull', True)), models.Q(('trail__isnull', True), ('trail_bps__gt', 0), ('trail_bps__isnull', False)), _connector='OR'), models.Q(('stop_price__isnull', True), models.Q(('stop_price__gt', 0), models.Q(('status', 2), _negated=True)), _connector='OR')), ('status', 5), _connector='OR'), name='order_stop'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 2), _negated=True), ('type__gte', 2), ('role', 4), _connector='OR'), name='order_waits'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('hidden', 0), models.Q(('display_quantity__isnull', False), ('hidden__gt', 0), ('hidden__lt', models.F('remaining'))), _connector='OR'), name='order_hidden'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('display_quantity__isnull', True), models.Q(('display_quantity__gt', 0), ('display_quantity__lte', 9007199254740991), ('type__in', (0, 3))), ('status', 5), _connector='OR'), name='order_display'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('expires_at__isnull', False), ('time_in_force__in', (3, 4))), models.Q(models.Q(('time_in_force__in', (3, 4)), _negated=True), ('expires_at__isnull', True)), ('status', 5), _connector='OR'), name='order_expires'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('group_id__isnull', True), ('role', 0)), models.Q(('group_id__isnull', False), ('role__gt', 0), ('role__lt', 6)), _connector='OR'), name='order_group_role'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('group_id__isnull', False)), fields=['group_id', 'id'], name='order_group'),
        ),
        # Events: the status after each.
        migrations.RemoveConstraint(
            model_name='event',
            name='event_kind',
        ),
        migrations.AddField(
            model_name='event',
            name='status',
            field=models.SmallIntegerField(choices=[(0, 'new'), (1, 'partially_filled'), (2, 'untriggered'), (3, 'filled'), (4, 'canceled'), (5, 'rejected'), (6, 'expired')], null=True),
        ),
        migrations.AlterField(
            model_name='event',
            name='kind',
            field=models.SmallIntegerField(choices=[(0, 'command_refused'), (1, 'accepted'), (2, 'rejected'), (3, 'fill_maker'), (4, 'fill_taker'), (5, 'amended'), (6, 'replaced'), (7, 'decremented'), (8, 'canceled'), (9, 'instrument_defined'), (10, 'phase_changed'), (11, 'account_defined'), (12, 'expired'), (13, 'triggered'), (14, 'replenished'), (15, 'released'), (16, 'uncrossed'), (17, 'schedule_set'), (18, 'cancel_after_set'), (19, 'cancel_after_fired'), (20, 'transferred')]),
        ),
        migrations.AlterField(
            model_name='event',
            name='reason',
            field=models.SmallIntegerField(choices=[(0, ''), (1, 'ioc'), (2, 'fok'), (3, 'no_liquidity'), (4, 'self_trade'), (5, 'amended_to_filled'), (6, 'user_request'), (7, 'operator_request'), (8, 'unknown_symbol'), (9, 'market_halted'), (10, 'market_closed'), (11, 'account_halted'), (12, 'account_reducing_only'), (13, 'price_not_on_tick'), (14, 'quantity_not_on_step'), (15, 'quantity_below_minimum'), (16, 'risk_max_quantity'), (17, 'price_collar'), (18, 'risk_max_notional'), (19, 'risk_max_open_orders'), (20, 'risk_max_position'), (21, 'post_only_would_cross'), (22, 'order_not_found'), (23, 'not_amendable'), (24, 'version_conflict'), (25, 'duplicate_order_id'), (26, 'invalid_request'), (27, 'day'), (28, 'gtd'), (29, 'linked_order'), (30, 'linked_order_refused'), (31, 'cancel_after'), (32, 'market_not_continuous'), (33, 'too_late_to_cancel'), (34, 'too_late_to_amend'), (35, 'display_quantity_too_small'), (36, 'too_many_trailing_stops'), (37, 'rate_limited'), (38, 'schedule'), (39, 'circuit_breaker'), (40, 'insufficient_funds')]),
        ),
        migrations.RunSQL(_TELL_STATUS, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name='event',
            constraint=models.CheckConstraint(condition=models.Q(('kind__gte', 1), ('kind__lt', 21)), name='event_kind'),
        ),
        migrations.AddConstraint(
            model_name='event',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('order__isnull', True), ('status__isnull', True)), models.Q(('order__isnull', False), ('status__gte', 0), ('status__isnull', False), ('status__lt', 7)), _connector='OR'), name='event_status'),
        ),
        # Cancel-after leases.
        migrations.CreateModel(
            name='Lease',
            fields=[
                ('pk', models.CompositePrimaryKey('account_id', 'shard_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='orders.account')),
                ('shard_id', models.SmallIntegerField()),
                ('due_at', orders.fields.MicrosField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('due_at__gt', 0)), name='lease_due')],
            },
        ),
        # Money paid in and out.
        migrations.CreateModel(
            name='Deposit',
            fields=[
                ('pk', models.CompositePrimaryKey('account_id', 'shard_id', 'currency', blank=True, editable=False, primary_key=True, serialize=False)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='orders.account')),
                ('shard_id', models.SmallIntegerField()),
                ('currency', models.CharField(max_length=16)),
                ('amount', orders.fields.BigUnitsField()),
            ],
        ),
    ]
