"""Sky maps: tracts and patches."""
