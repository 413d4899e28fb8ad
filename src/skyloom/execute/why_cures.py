"""What it would take: cures and commands for what went wrong, by its code or by its words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

__all__ = ["SELECTION_LIMITS", "Commands", "cure_of_code", "cure_of_words"]

SELECTION_LIMITS = {
    "PSF width (arcsec)": "max_psf_fwhm",
    "residual ellipticity": "max_ellipticity_residual",
    "scatter of sizes (px)": "max_size_scatter",
    "relative scatter of sizes": "max_scaled_size_scatter",
    "range of PSF sizes (px)": "max_psf_trace_radius_range",
    "range of PSF aperture fluxes": "max_psf_aperture_flux_range",
    "range of aperture corrections": "max_aperture_correction_range",
    "number of PSF stars": "min_psf_stars",
    "ellipticity of stars": "max_star_ellipticity",
    "unnormalized ellipticity of stars (px^2)": "max_star_unnormalized_ellipticity",
}
"""Words of `skyloom.warp.selection`: the setting that holds the limit."""
_FAILED_TEST = re.compile(r"(?:^|: )([^:]+?) ([-+.\de]+|nan|inf) is (above|below) ([-+.\de]+)")
_BY_WORDS: tuple[tuple[str, str, str], ...] = (
    (r"excluded by the configuration", "Take it out of the excluded detectors.", "select.exclude_detectors=[]"),
    (r"joint fit has no WCS", "Warp it with its own WCS.", "use_joint_wcs=False"),
    (r"joint fit has no flux scale", "Warp it with its own flux scale.", "use_joint_photo_calib=False"),
    (r"can take part, \d+ needed", "Let fewer warps make a coadd.", "min_inputs=1"),
    (r"times their variance, more than", "Allow more of a difference after matching.", "maxMatchResidualRatio=VALUE"),
    (r"nJy rms, more than", "Allow more of a difference after matching.", "maxMatchResidualRMS=VALUE"),
    (r"not among the selected visits", "Select it, or take all visits.", "doSelectVisits=False"),
)
"""What is said of what was left out: the cure, and the setting of the task that decides."""
_OF_NO_USE = (
    (r"no pixel with a (finite positive variance|value)", "None of its pixels is usable here: look at its mask."),
    (r"does not overlap the patch", "Nothing: it does not reach the patch."),
    (r"No detector of visit \d+ has a pixel", "None of its pixels on the patch is usable, or none lies there."),
)
_MACHINE = {
    "WORKER-DIED": ("Its process was killed, most often for memory: run fewer at a time.", "--retry -j 1"),
    "MEMORY": ("It needs more memory than it was allowed.", "--retry --memory SIZE"),
    "TIMEOUT": ("It needs more time than it was allowed.", "--retry --timeout SECONDS"),
}
_DISK = frozenset({"OSError", "BlockingIOError", "ConnectionError", "TimeoutError", "FileNotFoundError"})


@dataclass(frozen=True)
class Commands:
    """Command lines for a repository.

    Parameters
    ----------
    repository
        As the user wrote it.
    """

    repository: str

    def run(self, settings: dict[str, Any] | None, output: str, *more: str) -> str:
        """The command that made a run, and what is to be added to it; of a run of ``pipetask``, a hint.

        Parameters
        ----------
        settings
            The last line of settings of its journal, None without a journal.
        output
            The chain that it belongs to.
        """
        if settings is None:
            return " ".join(["pipetask run ...", *more]) if more else "pipetask run ... --extend-run --skip-existing"
        command = settings.get("command") or f"skyloom run {settings['pipeline']} {self.repository} -o {output}"
        return " ".join([command, *(one for one in more if one not in command)])


def cure_of_code(code: str, cure: str, log: str) -> tuple[str, tuple[str, ...]]:
    """Cure of a failure, and the options that try it again.

    Parameters
    ----------
    code
        Code of the error.
    cure
        That which the error itself tells; empty where it tells none.
    log
        Where the log of the quantum is.
    """
    if code in _MACHINE:
        words, options = _MACHINE[code]
        return words, (options,)
    if code in _DISK:
        return "See that the disk and the files are there and readable.", ("--retry",)
    if cure:
        return cure, ("--retry",)
    return f"Its log tells more: {log}" if log else "Nothing is known of it but this line.", ("--retry",)


def cure_of_words(text: str, label: str) -> tuple[str, str]:
    """Cure of what a task left out, and the option that changes it; empty where nothing is known.

    Parameters
    ----------
    text
        The reason as the task gave it.
    label
        Label of the task.
    """
    test = _FAILED_TEST.search(text)
    if test is not None and test[1] in SELECTION_LIMITS:
        setting = SELECTION_LIMITS[test[1]]
        value = f"{{'fallback': {test[2]}}}" if setting in ("min_psf_stars", "max_star_ellipticity") else test[2]
        return f"It passes with a limit of {test[2]}.", f'-c "{label}:select.{setting}={value}"'
    for pattern, cure, setting in _BY_WORDS:
        if re.search(pattern, text):
            return cure, f"-c {label}:{setting}"
    for pattern, cure in _OF_NO_USE:
        if re.search(pattern, text):
            return cure, ""
    return "", ""
