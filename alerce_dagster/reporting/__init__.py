"""What goes out to people: watch lists and the messages about them, supernova candidates and reports to TNS.

In the order of the work: `watchlists` reads lists and regions, `matching` finds the alerts that they ask for,
`delivery` sends messages. `candidate_rules` judges objects, `tns_objects` knows what TNS has, `at_report` makes
reports, `states` says what may become of them, `tns` speaks with the server.
Tables in, tables out: no database, no Dagster.
"""
