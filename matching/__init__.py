"""The pure core: order books, matching and the engine that numbers every event.

Theory of operation
-------------------
* Integers only. A price is a count of the instrument's price units, a quantity a count of its quantity units
  (``instrument.price_decimals`` and ``quantity_decimals`` say how many decimals a unit has). No float, no Decimal.
* No I/O, no clock, no randomness, no Django: time, ids and configuration arrive as arguments or as commands, so equal
  inputs give equal events and equal state hashes, always and everywhere.
* ``Engine.apply(next_sequence, at, command)`` validates fully, then mutates, and returns numbered events. It never calls
  back. Refusals are values; an assertion that fails is a bug and stops the shard.
* Read in this order: values, order, commands, events, lifecycle; side, book, stops, state; checks, funds; recorder, matcher,
  executor, engine; amending, groups, auction, phases, timers, configuration; then codec, image, restoring, levels,
  explaining and invariants.
"""
