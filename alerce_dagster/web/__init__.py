"""The web: the API that ALeRCE's clients know, one of our own, and the pages. It reads; it never computes products.

Everything is answered from the database and the archive, through connections that cannot write; the one thing that is
written, people's decisions on candidates, goes through a connection of its own. SQL stays in `storage`, names of
ALeRCE's API in `ztf_names`, HTML in `templates`.
"""
