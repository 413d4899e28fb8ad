"""Repositories: set-up, ingest, visits, reference catalogues, calibrations."""
