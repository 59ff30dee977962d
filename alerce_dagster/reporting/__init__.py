"""What goes out to people: watch lists, digests, notices, candidates, reports to TNS; what to observe by.

In the order of the work: `watchlists` reads lists and regions, `matching` finds the alerts that they ask for,
`delivery` sends messages. `candidate_rules` judges objects, `tns_objects` knows what TNS has, `at_report` makes
reports, `states` says what may become of them, `tns` speaks with the server. `digests` words the best of a night,
`notices` a candidate for machines; `sites`, `ephemeris` and `visibility` say what can be seen from where, `finder` and
`sky_images` draw where it is.
Tables in, tables out: no database, no Dagster.
"""
