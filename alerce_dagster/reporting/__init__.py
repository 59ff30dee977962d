"""What goes out to people: watch lists, digests and notices; and what they need to observe: visibility, finder charts.

In the order of the work: `watchlists` reads lists and regions, `matching` finds the alerts that they ask for,
`delivery` sends messages. `digests` words the best of a night, `notices` a candidate for machines; `sites`,
`ephemeris` and `visibility` say what can be seen from where, `finder` and `sky_images` draw where it is.
Tables in, tables out: no database, no Dagster.
"""
