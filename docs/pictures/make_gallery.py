"""Make the pictures of the tutorial and the gallery from the pages that skyloom writes.

    python docs/pictures/make_gallery.py DEMO SCRATCH

DEMO is the folder of a finished `skyloom demo`, whose pages are taken apart; in SCRATCH a field is simulated in three
bands, for a picture in colours.  The pictures go beside this file, below 100 kB each.
"""

from __future__ import annotations

import base64
import html
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
WIDEST, LARGEST = 900, 98_000
DEMO_PAGES = {
    "index.html": {
        "demo_coadd": "The coadd",
        "demo_frame": "One calibrated frame",
        "demo_positions": "Astrometry",
    },
    "visit_simulated_3.html": {
        "gallery_sky": "Left: the sky that was subtracted",
        "gallery_masks": "The frame in an asinh stretch",
        "gallery_psf": "Left: ellipticity of the PSF",
        "gallery_psf_stamps": "Median over the stars of their pixels",
        "gallery_zero_point": "Calibrated minus reference magnitude",
    },
    "tract_simulated_simulated_0.html": {
        "gallery_joint_residuals": "Bright measurements less their stars",
        "gallery_joint_plane": "Positions over the focal plane",
        "gallery_coverage": "How many visits cover the tract",
    },
    "coadd_simulated_0_0.html": {
        "gallery_depth": "Left, AB magnitude of a point source",
        "gallery_coadd_noise": "Left, sky pixels over the root",
    },
}
"""Page: name of a picture, and how its caption begins."""
COLOUR_PAGES = {"coadd_simulated_0_0.html": {"gallery_colours": "Three bands in colours"}}
BANDS = ("g", "r", "i")
CROPPED = {"demo_coadd": (0.27, 0.2, 0.81, 0.76)}
"""Parts of the width and height that are kept: left, top, right, bottom."""
FEW_BRIGHT = {"gallery_masks", "gallery_colours"}
"""Pictures in which few pixels have colours."""


def skyloom(*arguments: str | Path) -> None:
    """Run a command."""
    subprocess.run(["skyloom", *map(str, arguments)], check=True)


def figures(page: Path) -> dict[str, bytes]:
    """Caption and PNG of each figure of a page."""
    found = re.findall(r"<figure[^>]*>(.*?)</figure>", page.read_text(), re.DOTALL)
    captions: dict[str, bytes] = {}
    for figure in found:
        picture = re.search(r"data:image/png;base64,([A-Za-z0-9+/=]+)", figure)
        caption = re.search(r"<figcaption>(.*?)</figcaption>", figure, re.DOTALL)
        if picture and caption:
            captions.setdefault(html.unescape(caption[1]).strip(), base64.b64decode(picture[1]))
    return captions


def take(folder: Path, pages: dict[str, dict[str, str]]) -> None:
    """Write the chosen figures of pages."""
    for page, chosen in pages.items():
        known = figures(folder / page)
        for name, beginning in chosen.items():
            captions = [caption for caption in known if caption.lower().startswith(beginning.lower())]
            if not captions:
                raise LookupError(f"{page} has no figure {beginning!r}; it has {sorted(known)}")
            write(name, known[captions[0]])


def write(name: str, png: bytes) -> None:
    """Write a picture, small enough, in few colours."""
    picture = Image.open(BytesIO(png)).convert("RGB")
    if name in CROPPED:
        left, top, right, bottom = CROPPED[name]
        size = picture.size
        picture = picture.crop((int(left * size[0]), int(top * size[1]), int(right * size[0]), int(bottom * size[1])))
    method = Image.Quantize.MAXCOVERAGE if name in FEW_BRIGHT else Image.Quantize.MEDIANCUT
    path = HERE / f"{name}.png"
    for width, colours in ((WIDEST, 128), (WIDEST, 48), (700, 48), (560, 32), (420, 32)):
        small = picture
        if picture.width > width:
            small = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
        small.quantize(colours, method, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size < LARGEST:
            break
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def demo_pictures(demo: Path, scratch: Path) -> None:
    """Pages about the demo, and their figures."""
    repo, pages = demo / "repo", scratch / "pages"
    skyloom("report", "visit", repo, "3", "-o", pages)
    skyloom("report", "tract", repo, "0", "-o", pages)
    skyloom("report", "coadd", repo, "0", "-o", pages)
    (pages / "index.html").write_text((demo / "index.html").read_text())
    take(pages, DEMO_PAGES)


def colour_picture(scratch: Path) -> None:
    """A field in three bands, stacked, in colours."""
    sky, repo = scratch / "sky", scratch / "repo"
    bands = [word for band in BANDS for word in ("--band", band)]
    calibrations = [word for kind in ("biases", "darks", "flats") for word in ("-c", f"calibrations.{kind}=0")]
    skyloom("simulate", sky, "--detector", "0", "--visits", "3", "--seed", "7", *bands, *calibrations, "-q")
    skyloom("init", repo, "--camera", "simulated")
    skyloom("ingest", repo, sky / "raw")
    for kind in ("bias", "dark", "flat"):
        skyloom("calibs", "import", repo, kind, *sorted((sky / "masters").glob(f"{kind}_*.fits")))
    skyloom("refcat", "import", repo, sky / "refcat.fits", "--name", "truth", "--system", "ab", "--epoch", "2016.0")
    skyloom("run", "drp", repo, "-o", "field", "-j", "2", "-q")
    skyloom("report", "coadd", repo, "0", "-o", scratch / "colours")
    take(scratch / "colours", COLOUR_PAGES)


def main(demo: Path, scratch: Path) -> None:
    """Make all pictures anew."""
    scratch.mkdir(parents=True, exist_ok=True)
    demo_pictures(demo, scratch)
    colour_picture(scratch)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
