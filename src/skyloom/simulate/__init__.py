"""Simulated surveys with truth."""
