"""PSF star selection and PSF fitting."""
