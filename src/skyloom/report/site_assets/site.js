"use strict";
// Tables that sort by number, pictures that open large, and the plots of the overview.
addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table")) {
    if (!table.tHead || !table.tBodies.length) continue;
    table.classList.add("sortable", "n-last", "asc");
    for (const cell of table.tBodies[0].querySelectorAll("td:not([data-sort])")) {
      const number = /^([-+\u2212]?[\d,]*\.?\d+(?:e[-+]?\d+)?)(?:\s|%|$)/i.exec(cell.textContent.trim());
      if (number) cell.dataset.sort = number[1].replaceAll(",", "").replace("\u2212", "-");
    }
  }

  const dialog = document.body.appendChild(document.createElement("dialog"));
  dialog.className = "large";
  dialog.addEventListener("click", () => dialog.close());
  for (const image of document.querySelectorAll("figure img")) {
    image.addEventListener("click", () => {
      const large = new Image();
      large.src = image.src;
      large.alt = image.alt;
      large.width = Math.max(large.naturalWidth, 1.5 * image.width);
      dialog.replaceChildren(large);
      dialog.showModal();
    });
  }

  for (const place of document.querySelectorAll(".plot")) {
    const { data, layout } = JSON.parse(document.getElementById(place.dataset.plot).textContent);
    Plotly.newPlot(place, data, layout, { responsive: true, displaylogo: false, scrollZoom: true });
    place.on("plotly_click", (event) => {
      const link = event.points[0].customdata;
      if (link) location.href = link;
    });
  }
});
