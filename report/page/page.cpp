#include "cinch/report/page/page.hpp"

namespace cinch::page {

const char style[] = R"css(
:root { color: #1c1c1c; background: #fff; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
body { max-width: 860px; margin: 2.5em auto 6em; padding: 0 1.2em; }
h1 { font-size: 1.7em; line-height: 1.25; margin: 0 0 .6em; }
h2 { font-size: 1.2em; margin: 2.6em 0 .6em; padding-top: .9em; border-top: 1px solid #ddd; }
nav { font-size: .9em; line-height: 1.9; }
nav a { margin-right: 1.1em; white-space: nowrap; }
a { color: #0b5d9e; text-decoration: none; }
a:hover { text-decoration: underline; }
figure { margin: 0; }
figcaption, .caption { color: #555; font-size: .9em; margin: .5em 0; max-width: 46em; }
.note { background: #fff6e0; border-left: 4px solid #e69f00; padding: .5em 1em; margin: .6em 0; }
.good { background: #eef7f2; border-left: 4px solid #009e73; padding: .5em 1em; margin: .6em 0; }
.limit { color: #8a5a00; font-size: .9em; }
pre { background: #f6f6f4; padding: .8em 1em; overflow: auto; max-height: 32em; font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
pre.command { white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; color: #0b5d9e; font-size: .9em; margin: .5em 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9em; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3em 1.4em .3em 0; border-bottom: 1px solid #e6e6e6; vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; color: #444; border-bottom-color: #bbb; }
svg { display: block; max-width: 100%; height: auto; font: 13px system-ui, "DejaVu Sans", sans-serif; }
.legend { display: flex; flex-wrap: wrap; gap: .1em 1.3em; font-size: .9em; }
.legend label, .tools label { display: flex; align-items: center; gap: .4em; cursor: pointer; }
.legend svg { flex: none; }
.tools { display: flex; flex-wrap: wrap; gap: 1.2em; align-items: baseline; font-size: .85em; color: #555; margin: .3em 0; }
.readout { min-height: 1.6em; font-size: .85em; font-variant-numeric: tabular-nums; color: #333; }
.canvas svg { cursor: crosshair; user-select: none; touch-action: pan-y; }
@media print { .tools, .readout, nav { display: none; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
)css";

const char script[] = R"js(
"use strict";
document.querySelectorAll("figure.plot").forEach(function (figure, number) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const canvas = figure.querySelector(".canvas");
  const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];
  const dashes = ["", "8 4", "3 3", "9 3 2 3", "5 3", "12 5"];
  const width = 820, left = 78, right = 18, top = 28, label = 46;
  const height = data.equal ? 720 : data.panels.length > 1 ? 180 : 320;
  const log = { x: data.log_x, y: data.log_y }, hidden = new Set();
  const whole = data.curves.every(c => c.x.every(v => v === null || Number.isInteger(v)));
  let view, drag = null;

  const escape = text => text.replace(/[&<>"]/g, c => "&#" + c.charCodeAt(0) + ";");
  const scaled = (axis, v) => v === null ? NaN : !log[axis] ? v : v > 0 ? Math.log10(v) : NaN;
  const unscaled = (axis, v) => log[axis] ? Math.pow(10, v) : v;
  const bottom = panel => panel === data.panels.length - 1 ? label : 24;
  const colour = k => colours[k % colours.length];

  function shown(v) {
    const size = Math.abs(v);
    if (v === 0 || (size >= 1e-3 && size < 1e6)) return String(+v.toPrecision(5));
    return (+v.toPrecision(4)).toExponential();
  }

  function around(values, share) {
    let low = Infinity, high = -Infinity;
    for (const v of values) {
      if (v < low) low = v;
      if (v > high) high = v;
    }
    if (low > high) return [0, 1];
    const margin = low === high ? Math.abs(low) / 10 || 0.5 : (high - low) * share;
    return [low - margin, high + margin];
  }

  function reset() {
    const xs = [], ys = data.panels.map(() => []);
    data.curves.forEach(function (curve, k) {
      if (hidden.has(k)) return;
      curve.x.forEach(function (x, i) {
        const v = scaled("x", x), y = curve.y[i], error = curve.e.length ? curve.e[i] : 0;
        if (y === null) return;
        if (!isNaN(v)) xs.push(v);
        for (const end of [y - error, y, y + error]) {
          const w = scaled("y", end);
          if (!isNaN(v) && !isNaN(w)) ys[curve.panel].push(w);
        }
      });
    });
    const labels = data.curves.some(curve => curve.l.length);
    view = { x: around(xs, labels ? 0.1 : 0.03), y: ys.map(values => around(values, 0.06)) };
    if (!data.equal) return;
    const w = width - left - right, h = height - top - label;
    const per = Math.max((view.x[1] - view.x[0]) / w, (view.y[0][1] - view.y[0][0]) / h);
    const fill = (range, length) => {
      const middle = (range[0] + range[1]) / 2;
      return [middle - per * length / 2, middle + per * length / 2];
    };
    view = { x: fill(view.x, w), y: [fill(view.y[0], h)] };
  }

  // Places along an axis, in its scaled units, and what stands there.
  function ticks(axis, range, most, integers) {
    const found = [];
    if (log[axis] && range[1] - range[0] >= 1.5) {
      const step = Math.ceil((range[1] - range[0]) / most);
      for (let k = Math.ceil(range[0]); k <= range[1]; k += step) found.push([k, shown(Math.pow(10, k))]);
      return found;
    }
    const low = unscaled(axis, range[0]), high = unscaled(axis, range[1]);
    const rough = (high - low) / most, power = Math.pow(10, Math.floor(Math.log10(rough)));
    let step = power * [1, 2, 5, 10].find(f => f * power >= rough * 0.999);
    if (integers) step = Math.max(1, Math.round(step));
    for (let k = Math.ceil(low / step); k * step <= high; ++k) {
      const v = k * step, at = scaled(axis, v);
      if (!isNaN(at)) found.push([at, shown(Math.abs(v) < step / 1000 ? 0 : v)]);
    }
    return found;
  }

  function mark(k, x, y) {
    const r = 3.2, paths = [
      `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`,
      `M${x - r},${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
      `M${x},${y - 1.4 * r}l${1.2 * r},${2.3 * r}h${-2.4 * r}z`,
    ];
    return `<path d="${paths[k % 3]}" fill="${k % 6 < 3 ? colour(k) : "#fff"}" stroke="${colour(k)}"/>`;
  }

  function drawn(curve, k, X, Y) {
    const px = curve.x.map(X), py = curve.y.map(v => Y(scaled("y", v)));
    const good = i => isFinite(px[i]) && isFinite(py[i]);
    let path = "", marks = "";
    if (curve.mark === "arrows") {
      for (let i = 0; i + 1 < px.length; i += 2) {
        if (!good(i) || !good(i + 1)) continue;
        const dx = px[i + 1] - px[i], dy = py[i + 1] - py[i], length = Math.hypot(dx, dy);
        const size = Math.min(6, length / 2) / (length || 1);
        const [ax, ay] = [dx * size, dy * size], [bx, by] = [px[i + 1] - ax, py[i + 1] - ay];
        path += `M${px[i].toFixed(1)},${py[i].toFixed(1)}L${px[i + 1].toFixed(1)},${py[i + 1].toFixed(1)}` +
          `M${(bx - ay * .45).toFixed(1)},${(by + ax * .45).toFixed(1)}L${px[i + 1].toFixed(1)},${py[i + 1].toFixed(1)}` +
          `L${(bx + ay * .45).toFixed(1)},${(by - ax * .45).toFixed(1)}`;
      }
      return `<path d="${path}" fill="none" stroke="${colour(k)}" stroke-width="1.1"/>`;
    }
    let open = false;
    const every = curve.x.length <= 30 ? 1 : Math.ceil(curve.x.length / 12);
    for (let i = 0; i < px.length; ++i) {
      if (!good(i)) { open = false; continue; }
      if (curve.mark === "line") path += (open ? "L" : "M") + px[i].toFixed(1) + "," + py[i].toFixed(1);
      open = true;
      if (curve.e.length && curve.e[i]) {
        const low = Y(scaled("y", curve.y[i] - curve.e[i])), high = Y(scaled("y", curve.y[i] + curve.e[i]));
        if (isFinite(low + high))
          marks += `<path d="M${px[i]},${low}V${high}M${px[i] - 4},${low}h8M${px[i] - 4},${high}h8" stroke="${colour(k)}"/>`;
      }
      if (curve.mark === "points" || (i + k) % every === 0) marks += mark(k, px[i], py[i]);
      if (curve.l.length) {
        // At one corner after the other, so that those of neighbours are apart.
        const end = i % 2 === 1, below = i % 4 === 1 || i % 4 === 2;
        marks += `<text x="${px[i] + (end ? -7 : 7)}" y="${py[i] + (below ? 15 : -6)}" fill="#333"` +
          ` text-anchor="${end ? "end" : "start"}">${escape(curve.l[i])}</text>`;
      }
    }
    return `<path d="${path}" fill="none" stroke="${colour(k)}" stroke-width="2" stroke-linejoin="round"` +
      ` stroke-dasharray="${dashes[k % dashes.length]}"/>` + marks;
  }

  const toX = v => left + (v - view.x[0]) / (view.x[1] - view.x[0]) * (width - left - right);
  function toY(panel, v) {
    const [low, high] = view.y[panel];
    return top + (1 - (v - low) / (high - low)) * (height - top - (data.equal ? label : 0));
  }

  function draw() {
    canvas.innerHTML = data.panels.map(function (name, panel) {
      const floor = data.equal ? height - label : height, all = floor + bottom(panel), id = `clip-${number}-${panel}`;
      let svg = `<svg viewBox="0 0 ${width} ${all}" width="${width}" height="${all}" data-panel="${panel}" role="img">` +
        `<clipPath id="${id}"><rect x="${left}" y="${top}" width="${width - left - right}" height="${floor - top}"/></clipPath>`;
      for (const [v, text] of ticks("x", view.x, 8, whole && !log.x)) {
        svg += `<path d="M${toX(v)},${top}V${floor}" stroke="#e4e4e4"/>` +
          `<text x="${toX(v)}" y="${floor + 17}" text-anchor="middle" fill="#444">${text}</text>`;
      }
      for (const [v, text] of ticks("y", view.y[panel], height > 200 ? 7 : 4, false)) {
        svg += `<path d="M${left},${toY(panel, v)}H${width - right}" stroke="#e4e4e4"/>` +
          `<text x="${left - 7}" y="${toY(panel, v) + 4}" text-anchor="end" fill="#444">${text}</text>`;
      }
      svg += `<path d="M${left},${top}V${floor}H${width - right}" fill="none" stroke="#888"/>`;
      svg += `<text x="${left}" y="17" font-weight="600" fill="#333">${escape(name)}</text>`;
      if (panel === data.panels.length - 1)
        svg += `<text x="${(left + width - right) / 2}" y="${floor + 38}" text-anchor="middle">${escape(data.x)}</text>`;
      svg += `<g clip-path="url(#${id})">`;
      data.curves.forEach(function (curve, k) {
        if (curve.panel === panel && !hidden.has(k))
          svg += drawn(curve, k, v => toX(scaled("x", v)), v => toY(panel, v));
      });
      return svg + `<path class="cursor" stroke="#999" stroke-dasharray="3 3"/>` +
        `<rect class="drag" fill="#0072b2" fill-opacity=".12" stroke="#0072b2"/></g></svg>`;
    }).join("");
  }

  function place(event) {
    const svg = event.target.closest("svg") || (drag && drag.svg);
    if (!svg || !canvas.contains(svg)) return null;
    const box = svg.getBoundingClientRect(), ratio = width / box.width, panel = Number(svg.dataset.panel);
    const x = (event.clientX - box.left) * ratio, y = (event.clientY - box.top) * ratio;
    const [low, high] = view.y[panel], floor = data.equal ? height - label : height;
    return { svg, panel, x, y, floor,
      vx: view.x[0] + (x - left) / (width - left - right) * (view.x[1] - view.x[0]),
      vy: low + (1 - (y - top) / (floor - top)) * (high - low) };
  }

  const readout = document.createElement("div");
  readout.className = "readout";
  const hint = "Wheel or drag to zoom, double click for all, hover for values.";
  readout.textContent = hint;

  canvas.addEventListener("wheel", function (event) {
    const p = place(event);
    if (!p) return;
    event.preventDefault();
    const f = event.deltaY < 0 ? 0.8 : 1.25;
    const zoomed = (range, at) => [at + (range[0] - at) * f, at + (range[1] - at) * f];
    view.x = zoomed(view.x, p.vx);
    view.y[p.panel] = zoomed(view.y[p.panel], p.vy);
    draw();
  }, { passive: false });

  canvas.addEventListener("mousedown", function (event) {
    if (event.button === 0) drag = place(event);
    if (drag) event.preventDefault();
  });
  canvas.addEventListener("dblclick", function () { reset(); draw(); });
  canvas.addEventListener("mouseleave", function () {
    if (!drag) readout.textContent = hint;
    canvas.querySelectorAll(".cursor").forEach(c => c.removeAttribute("d"));
  });

  window.addEventListener("mousemove", function (event) {
    if (drag) {
      const box = drag.svg.getBoundingClientRect(), ratio = width / box.width;
      const x = (event.clientX - box.left) * ratio, y = (event.clientY - box.top) * ratio;
      const rect = drag.svg.querySelector(".drag");
      // A drag along one axis zooms that one alone.
      const wide = Math.abs(x - drag.x) > 12, high = Math.abs(y - drag.y) > 12;
      rect.setAttribute("x", wide ? Math.min(x, drag.x) : left);
      rect.setAttribute("width", wide ? Math.abs(x - drag.x) : width - left - right);
      rect.setAttribute("y", high ? Math.min(y, drag.y) : top);
      rect.setAttribute("height", high ? Math.abs(y - drag.y) : drag.floor - top);
      drag.wide = wide; drag.high = high;
      return;
    }
    if (!canvas.contains(event.target)) return;
    const p = place(event);
    if (!p) return;
    let nearest = null, least = Infinity;
    const texts = [];
    data.curves.forEach(function (curve, k) {
      if (hidden.has(k)) return;
      curve.x.forEach(function (x, i) {
        const far = Math.abs(toX(scaled("x", x)) - p.x);
        if (far < least && curve.y[i] !== null) { least = far; nearest = x; }
      });
    });
    if (nearest === null) return;
    data.curves.forEach(function (curve, k) {
      if (hidden.has(k)) return;
      let at = -1, best = Infinity;
      curve.x.forEach(function (x, i) {
        const plane = curve.mark !== "line" && curve.panel === p.panel;
        const far = plane ? Math.hypot(toX(scaled("x", x)) - p.x, toY(p.panel, scaled("y", curve.y[i])) - p.y)
          : Math.abs(toX(scaled("x", x)) - toX(scaled("x", nearest)));
        if (far < best && (plane || far < 1)) { best = far; at = i; }
      });
      if (at < 0 || curve.y[at] === null) return;
      const near = curve.mark === "line" ? "" : ` at ${shown(curve.x[at])}`;
      texts.push(`${curve.name}${near}: ${shown(curve.y[at])}` + (curve.e.length ? ` ± ${shown(curve.e[at])}` : "") +
        (curve.l.length ? ` (${curve.l[at]})` : ""));
    });
    readout.textContent = `${data.x} ${shown(nearest)}   ·   ` + texts.join("   ·   ");
    canvas.querySelectorAll("svg").forEach(function (svg) {
      const floor = data.equal ? height - label : height, x = toX(scaled("x", nearest));
      svg.querySelector(".cursor").setAttribute("d", `M${x},${top}V${floor}`);
    });
  });

  window.addEventListener("mouseup", function (event) {
    if (!drag) return;
    const from = drag, to = place({ target: from.svg, clientX: event.clientX, clientY: event.clientY });
    drag = null;
    const between = (a, b) => [Math.min(a, b), Math.max(a, b)];
    if (from.wide) view.x = between(from.vx, to.vx);
    if (from.high) view.y[from.panel] = between(from.vy, to.vy);
    draw();
  });

  const legend = document.createElement("div"), tools = document.createElement("div");
  legend.className = "legend";
  tools.className = "tools";
  function box(parent, html, checked, change) {
    const item = document.createElement("label"), input = document.createElement("input");
    input.type = "checkbox";
    input.checked = checked;
    input.addEventListener("change", function () { change(input.checked); reset(); draw(); });
    item.innerHTML = html;
    item.prepend(input);
    parent.append(item);
  }
  data.curves.forEach(function (curve, k) {
    box(legend, `<svg width="38" height="14" viewBox="0 0 38 14">` + (curve.mark === "points" ? "" :
      `<path d="M2,7H36" stroke="${colour(k)}" stroke-width="2" stroke-dasharray="${dashes[k % dashes.length]}"/>`) +
      (curve.mark === "arrows" ? `<path d="M29,3L36,7L29,11" fill="none" stroke="${colour(k)}"/>` : mark(k, 19, 7)) +
      `</svg>` + escape(curve.name), true, on => on ? hidden.delete(k) : hidden.add(k));
  });
  if (!data.equal) {
    box(tools, "logarithmic y", log.y, on => { log.y = on; });
    box(tools, "logarithmic x", log.x, on => { log.x = on; });
  }
  canvas.before(legend, tools);
  canvas.after(readout);
  reset();
  draw();
});
)js";

}  // namespace cinch::page
