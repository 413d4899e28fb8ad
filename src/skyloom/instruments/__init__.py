"""Cameras described in YAML."""
