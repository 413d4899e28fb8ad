"use strict";
// The coadds of a tract: tiles by OpenSeadragon, sky coordinates under the pointer, outlines of patches, a scale bar.
const RADIANS = Math.PI / 180;

// Distance from the pole of the projection, degrees, of a distance r (degrees) from its fiducial point on the plane.
const DISTANCE = {
  TAN: (r) => Math.atan(r * RADIANS) / RADIANS,
  STG: (r) => (2 * Math.atan((r * RADIANS) / 2)) / RADIANS,
  SIN: (r) => Math.asin(r * RADIANS) / RADIANS,
  ARC: (r) => r,
  ZEA: (r) => (2 * Math.asin((r * RADIANS) / 2)) / RADIANS,
};

// Right ascension and declination, degrees, of a pixel (x, y) of the tract; null for other projections.
function skyAt(wcs, x, y) {
  const distance = DISTANCE[wcs.projection];
  if (!distance) return null;
  const dx = x - wcs.origin[0], dy = y - wcs.origin[1];
  const east = wcs.cd[0][0] * dx + wcs.cd[0][1] * dy, north = wcs.cd[1][0] * dx + wcs.cd[1][1] * dy;
  const c = distance(Math.hypot(east, north)) * RADIANS, angle = Math.atan2(east, north), dec0 = wcs.dec * RADIANS;
  const dec = Math.asin(Math.sin(dec0) * Math.cos(c) + Math.cos(dec0) * Math.sin(c) * Math.cos(angle));
  const ra = Math.atan2(Math.sin(c) * Math.sin(angle), Math.cos(dec0) * Math.cos(c) - Math.sin(dec0) * Math.sin(c) * Math.cos(angle));
  return [(wcs.ra + ra / RADIANS + 720) % 360, dec / RADIANS];
}

function sexagesimal(value, digits) {
  const units = Math.round(Math.abs(value) * 3600 * 10 ** digits), unit = 3600 * 10 ** digits;
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  const seconds = (units % (unit / 60)) / 10 ** digits;
  return `${two(units / unit)}:${two((units % unit) / (unit / 60))}:${seconds.toFixed(digits).padStart(3 + digits, "0")}`;
}

addEventListener("DOMContentLoaded", () => {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const sources = settings.layers.map((layer) => {
    const known = layer.levels.map((tiles) => new Set(tiles));
    return {
      width: settings.width, height: settings.height, tileSize: settings.tile, minLevel: 0, maxLevel: known.length - 1,
      getTileUrl: (level, x, y) => `${layer.path}/${level}/${x}_${y}.jpg`,
      tileExists: (level, x, y) => level >= 0 && level < known.length && known[level].has(`${x}_${y}`),
    };
  });
  // Drawn on a plain canvas: pages opened as files may not hand pictures to WebGL.
  const viewer = OpenSeadragon({
    id: "view", tileSources: sources[0], drawer: "canvas", showNavigationControl: false, maxZoomPixelRatio: 8,
    animationTime: 0.4, gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  });
  globalThis.viewer = viewer;
  const image = () => viewer.world.getItemAt(0);
  const frame = document.getElementById("view");
  const home = (now) => viewer.viewport.fitBounds(image().imageToViewportRectangle(...settings.filled), now);

  viewer.addHandler("open", () => {
    home(true);
    for (const patch of settings.patches) {
      const place = document.createElement("div"), box = place.appendChild(document.createElement("div"));
      const link = box.appendChild(document.createElement("a"));
      box.className = "patch";
      link.textContent = patch.name;
      if (patch.link) link.href = patch.link;
      // The viewer takes presses for its own.
      new OpenSeadragon.MouseTracker({ element: link, clickHandler: () => { if (patch.link) location.href = patch.link; } });
      viewer.addOverlay({ element: place, location: image().imageToViewportRectangle(...patch.box) });
    }
  });
  document.getElementById("outlines").addEventListener("change", (event) => frame.classList.toggle("outlined", event.target.checked));
  document.getElementById("home").addEventListener("click", () => home(false));
  document.getElementById("pixels").addEventListener("click", () => viewer.viewport.zoomTo(viewer.viewport.imageToViewportZoom(1)));
  document.getElementById("layer")?.addEventListener("change", (event) =>
    viewer.addTiledImage({ tileSource: sources[Number(event.target.value)], index: 0, replace: true }));

  const place = document.getElementById("place");
  new OpenSeadragon.MouseTracker({
    element: frame,
    moveHandler: (event) => {
      if (!image()) return;
      const at = image().viewerElementToImageCoordinates(event.position);
      const x = settings.x0 + at.x - 0.5, y = settings.y0 - at.y + 0.5, sky = skyAt(settings.wcs, x, y);
      const pixel = `x ${x.toFixed(0)}, y ${y.toFixed(0)}`;
      place.textContent = sky === null ? pixel
        : `${sexagesimal(sky[0] / 15, 2)} ${sky[1] < 0 ? "\u2212" : "+"}${sexagesimal(sky[1], 1)}   ${sky[0].toFixed(5)}, ${sky[1].toFixed(5)}   ${pixel}`;
    },
  });

  const bar = document.getElementById("bar");
  viewer.addHandler("update-viewport", () => {
    if (!image()) return;
    const arcsec = settings.scale / image().viewportToImageZoom(viewer.viewport.getZoom(true));
    const length = [0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200].filter((one) => one / arcsec <= 200).pop() ?? 0.5;
    bar.style.width = `${length / arcsec}px`;
    bar.firstChild.textContent = length < 60 ? `${length}\u2033` : length < 3600 ? `${length / 60}\u2032` : `${length / 3600}\u00b0`;
  });
});
