"""Instruments may move between shards: lists are in the order of time, since every shard has numbers of its own."""


from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0007_shards'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='event',
            name='event_kind',
        ),
        migrations.RemoveIndex(
            model_name='event',
            name='event_fills',
        ),
        migrations.RemoveIndex(
            model_name='trade',
            name='trade_instrument',
        ),
        migrations.AddField(
            model_name='instrument',
            name='moved_at',
            field=models.BigIntegerField(db_default=0, editable=False),
        ),
        migrations.AddField(
            model_name='instrument',
            name='moving_to',
            field=models.SmallIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='instrument',
            name='since_sequence',
            field=models.BigIntegerField(db_default=0, editable=False),
        ),
        migrations.AlterField(
            model_name='event',
            name='kind',
            field=models.SmallIntegerField(choices=[(0, 'command_refused'), (1, 'accepted'), (2, 'rejected'), (3, 'fill_maker'), (4, 'fill_taker'), (5, 'amended'), (6, 'replaced'), (7, 'decremented'), (8, 'canceled'), (9, 'instrument_defined'), (10, 'phase_changed'), (11, 'account_defined'), (12, 'expired'), (13, 'triggered'), (14, 'replenished'), (15, 'released'), (16, 'uncrossed'), (17, 'schedule_set'), (18, 'cancel_after_set'), (19, 'cancel_after_fired'), (20, 'transferred'), (21, 'instrument_departed'), (22, 'instrument_arrived'), (23, 'moved')]),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('kind__in', (3, 4))), fields=['account', 'at', 'id'], name='event_fills'),
        ),
        migrations.AddIndex(
            model_name='trade',
            index=models.Index(fields=['instrument', 'at', 'id'], name='trade_instrument'),
        ),
        migrations.AddConstraint(
            model_name='event',
            constraint=models.CheckConstraint(condition=models.Q(('kind__gte', 1), ('kind__lt', 24)), name='event_kind'),
        ),
    ]
