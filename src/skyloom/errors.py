"""Every error of skyloom: a code, the cause in one line, and what to do about it.

`FrameError` and its subclasses say that one frame (or one patch) cannot be processed; the tasks turn them into
failures of that quantum alone.  All others stop the command that raised them.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "AstrometryError",
    "BadFrameError",
    "CameraError",
    "FrameError",
    "JointFitError",
    "NoOverlapError",
    "NoReferenceError",
    "NoSourcesError",
    "PhotometryError",
    "PsfError",
    "RefcatError",
    "RepositoryError",
    "SkyloomError",
    "TooManyCosmicRaysError",
]


class SkyloomError(Exception):
    """Base of every error of skyloom.

    Parameters
    ----------
    cause
        What is wrong, in one line, with the values that disagree.
    cure
        What the user can do about it.
    file
        The file concerned, where there is one.
    keyword
        The header keyword, option or column concerned, where there is one.
    **metadata
        Figures that belong to the failure (counts, residuals with their unit in the name); they are kept with
        the failed product.
    """

    code: ClassVar[str] = "SKYLOOM"

    def __init__(
        self,
        cause: str,
        *,
        cure: str = "",
        file: str | None = None,
        keyword: str | None = None,
        **metadata: float | int | str | bool,
    ) -> None:
        self.cause = cause
        self.cure = cure
        self.file = file
        self.keyword = keyword
        self.metadata = metadata
        super().__init__(cause)

    def __str__(self) -> str:
        where = " ".join(part for part in (self.file, self.keyword) if part)
        text = f"[{self.code}] {where + ': ' if where else ''}{self.cause}"
        return f"{text} {self.cure}" if self.cure else text

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.cause, self.cure, self.file, self.keyword, self.metadata))


def _rebuild(
    kind: type[SkyloomError],
    cause: str,
    cure: str,
    file: str | None,
    keyword: str | None,
    metadata: dict[str, float | int | str | bool],
) -> SkyloomError:
    """Build an error anew in another process."""
    return kind(cause, cure=cure, file=file, keyword=keyword, **metadata)


class CameraError(SkyloomError):
    """A camera description is wrong or lacks something."""

    code = "CAMERA"


class RepositoryError(SkyloomError):
    """A repository cannot do what was asked of it."""

    code = "REPOSITORY"


class RefcatError(SkyloomError):
    """A reference catalogue cannot be imported or read."""

    code = "REFCAT"


class FrameError(SkyloomError, RuntimeError):
    """One frame cannot be processed; others can."""

    code = "FRAME"
    partial: Any = None
    """What had been obtained before the failure, where a recipe of several stages raised it."""


class BadFrameError(FrameError):
    """A frame is truncated, empty, of the wrong shape, or lacks a keyword."""

    code = "BAD-FRAME"


class TooManyCosmicRaysError(FrameError):
    """More pixels look like cosmic rays than there can be."""

    code = "COSMIC-RAYS"


class NoSourcesError(FrameError):
    """A frame shows too few usable stars."""

    code = "NO-SOURCES"


class NoReferenceError(FrameError):
    """No reference star lies where the frame points."""

    code = "NO-REFERENCE"


class PsfError(FrameError):
    """The point-spread function could not be fitted."""

    code = "PSF"


class AstrometryError(FrameError):
    """No astrometric solution, or one that did not pass its checks."""

    code = "ASTROMETRY"


class PhotometryError(FrameError):
    """No zero point could be fitted."""

    code = "PHOTOMETRY"


class NoOverlapError(FrameError):
    """A frame does not touch the patch it was to be warped onto."""

    code = "NO-OVERLAP"


class JointFitError(FrameError):
    """The joint fit of the visits of a tract is not possible, or does not converge."""

    code = "JOINT-FIT"
