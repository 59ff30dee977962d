"""What goes out to people: watch lists and the messages about their matches.

In the order of the work: `watchlists` reads lists and regions and matches alerts with them, `delivery` sends messages.
Tables in, tables out: no database, no Dagster.
"""
