"""Pipeline tasks: where configuration, data and algorithms meet."""
