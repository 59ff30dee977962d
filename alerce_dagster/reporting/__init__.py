"""What goes out to people: watch lists and the messages about their matches.

In the order of the work: `watchlists` reads lists and regions, `matching` finds the alerts that they ask for,
`delivery` sends messages.
Tables in, tables out: no database, no Dagster.
"""
