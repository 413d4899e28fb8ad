"""The whole way in one command: a look at the frames, a plan of what they allow, and the walk through it."""
