"""Point-spread functions that are evaluated by our kernels."""
