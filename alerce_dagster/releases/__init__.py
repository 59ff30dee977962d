"""Data-release light curves: loaded, recalibrated against the constant stars around them, and asked whether they vary.

Light curves stay flat (offsets and values) from the file to the answer; a readout channel (field, CCD quadrant, filter)
is worked on as a whole and is the most that memory holds. Tables in, tables out: where they are kept is not known here.
"""
