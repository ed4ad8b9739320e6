"""What was counted of messages is counted on every shard; definitions of accounts are numbered."""

import django.db.models.deletion
from django.db import migrations, models

# Where there were several shards, nobody knows any more which of them had counted: each begins with what there is.
TO_EACH_SHARD = (
    "INSERT INTO orders_messagerate (account_id, shard_id, rate_at) SELECT orders_account.id, orders_shard.id, rate_at "
    "FROM orders_account CROSS JOIN orders_shard WHERE rate_at > 0"
)
TO_THE_ACCOUNT = (
    "UPDATE orders_account SET rate_at = COALESCE((SELECT MAX(one.rate_at) FROM orders_messagerate AS one "
    "WHERE one.account_id = orders_account.id), 0)"
)


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0006_engines_of_their_own'),
    ]

    operations = [
        migrations.CreateModel(
            name='MessageRate',
            fields=[
                ('pk', models.CompositePrimaryKey('account_id', 'shard_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='orders.account')),
                ('shard_id', models.SmallIntegerField()),
                ('rate_at', models.BigIntegerField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('rate_at__gte', 0)), name='message_rate_at')],
            },
        ),
        migrations.RunSQL(TO_EACH_SHARD, TO_THE_ACCOUNT),
        migrations.RemoveConstraint(model_name='account', name='account_limits'),
        migrations.RemoveField(model_name='account', name='rate_at'),
        migrations.AddConstraint(
            model_name='account',
            constraint=models.CheckConstraint(condition=models.Q(('max_open_orders__gte', 0), ('max_order_quantity__gte', 0), ('max_position__gte', 0), ('max_rate__gte', 0)), name='account_limits'),
        ),
        migrations.AddField(
            model_name='account',
            name='definition',
            field=models.BigIntegerField(db_default=0, editable=False),
        ),
    ]
