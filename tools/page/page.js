// A pointer over a chart, or the arrow keys, read off the numbers; a click on a name hides its curve.
const LEFT = 52, RIGHT = 10, WIDTH = 460;
const short = (y) => (y === null ? "–" : Math.abs(y) >= 1e5 || (y && Math.abs(y) < 1e-3) ? y.toExponential(2) : String(+y.toPrecision(4)));

for (const chart of document.querySelectorAll(".chart")) {
  const svg = chart.querySelector(":scope > svg"), cursor = svg.querySelector(".cursor"), said = chart.querySelector("output");
  const curves = JSON.parse(chart.dataset.curves), left = +chart.dataset.left, right = +chart.dataset.right;
  const xs = [...new Set(curves.flatMap(([, points]) => points.map(([x]) => x)))].sort((a, b) => a - b);
  const hidden = new Set();
  let at = -1;

  const show = (i) => {
    at = Math.max(0, Math.min(xs.length - 1, i));
    const x = xs[at], place = LEFT + (WIDTH - LEFT - RIGHT) * (right > left ? (x - left) / (right - left) : 0.5);
    cursor.setAttribute("x1", place);
    cursor.setAttribute("x2", place);
    cursor.style.visibility = "visible";
    const found = curves.flatMap(([name, points], k) => {
      const point = hidden.has(k) ? undefined : points.find((p) => p[0] === x);
      return point ? [curves.length > 1 ? `${name} ${short(point[1])}` : short(point[1])] : [];
    });
    said.textContent = [`${chart.dataset.x} ${x}`, ...found.slice(0, 3), ...(found.length > 3 ? ["…"] : [])].join("   ");
  };
  const hide = () => { cursor.style.visibility = "hidden"; said.textContent = ""; };

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), place = ((event.clientX - box.left) / box.width) * WIDTH;
    const x = left + ((place - LEFT) / (WIDTH - LEFT - RIGHT)) * (right - left);
    show(xs.reduce((best, value, i) => (Math.abs(value - x) < Math.abs(xs[best] - x) ? i : best), 0));
  });
  svg.addEventListener("pointerleave", hide);
  svg.setAttribute("tabindex", "0");
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { show(at + step); event.preventDefault(); }
  });
  svg.addEventListener("blur", hide);

  const names = [...chart.querySelectorAll(".legend button")], paths = [...svg.querySelectorAll("path")];
  names.forEach((name, k) => name.addEventListener("click", () => {
    const isShown = hidden.delete(k) || (hidden.add(k), false);
    name.setAttribute("aria-pressed", isShown);
    paths[k].style.display = isShown ? "" : "none";
  }));
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
