"""Instrument signature removal, one correction a file."""
