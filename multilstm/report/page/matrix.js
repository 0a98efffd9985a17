// The matrix: filters, rows in portions, links to cells, and the keyboard.

const PORTION = 30; // rows that are drawn at a time; printing draws all
const START = { who: "all", which: "", search: "", verdict: "", dtype: "", sort: "worst" };
const filter = { ...START };
const grid = document.getElementById("grid");
const body = grid.tBodies[0];
const field = (id) => document.getElementById(id);
let shown = [];

function chips(fieldset, name, choices, checked, onChange) {
  const legend = fieldset.querySelector("legend");
  fieldset.replaceChildren(legend, ...choices.map(([value, label]) => {
    const input = element("input", { type: "radio", name, value, checked: value === checked });
    input.addEventListener("change", () => onChange(value));
    return element("label", { class: "chip" }, input, element("span", {}, label));
  }));
}

function drawChips() {
  const who = Object.entries(WHO).map(([key, [label, test]]) => [key, `${label} (${rows.filter(test).length})`]);
  chips(field("who"), "who", who, filter.who, (value) => update({ who: value, which: "" }));
  const single = rows.filter(WHO.one[1]);
  const counts = engines.map((engine) => [engine, single.filter((row) => row.differing[0] === engine).length]);
  const which = counts.filter(([, count]) => count).map(([engine, count]) => [engine, `${engine} (${count})`]);
  chips(field("which"), "which", [["", "any engine"], ...which], filter.which, (value) => update({ which: value }));
  field("which").hidden = filter.who !== "one";
}

function drawSelect(id, choices) {
  field(id).replaceChildren(...choices.map(([value, label]) => element("option", { value }, label)));
  field(id).addEventListener("change", () => update({ [id]: field(id).value }));
}

function sortButton(key, label) {
  const button = element("button", { type: "button", title: `Sort by ${label}` }, label);
  button.addEventListener("click", () => update({ sort: filter.sort === key ? "worst" : key }));
  return button;
}

function drawHead() {
  const first = element("tr", {},
    element("th", { scope: "col", rowspan: 2, "data-sort": "case" }, sortButton("case", "case")),
    element("th", { scope: "col", rowspan: 2 }, "dtype"));
  const second = element("tr");
  for (const { engine, aspects } of columns) {
    first.append(element("th", { scope: "colgroup", colspan: aspects.length, class: "first", "data-sort": engine },
      sortButton(engine, engine)));
    aspects.forEach((aspect, index) => second.append(element("th", { scope: "col", class: index ? "kind" : "kind first" },
      element("abbr", { title: `${aspect}: ${data.aspects[aspect].join(", ")}` }, aspect.slice(0, 1)))));
  }
  grid.tHead.replaceChildren(first, second);
}

function label(engine, aspect, cell) {
  const size = cell.share === null || !cell.tolerance || cell.verdict === "unsupported"
    ? "" : `, ${number(cell.share)} of the tolerance`;
  return `${engine}, ${aspect}: ${cell.verdict}${size}`;
}

function drawRow(row) {
  const extra = SHOWN_KEYS.map((key) => row[key]).join(", ");
  const line = element("tr", {},
    element("th", { scope: "row" }, row.name, extra ? element("span", { class: "quiet" }, ` ${extra}`) : ""),
    element("td", { class: "dtype" }, row.dtype));
  for (const { engine, aspects } of columns) {
    aspects.forEach((aspect, index) => {
      const cells = row.engines.get(engine)?.get(aspect);
      const box = element("td", { class: `${cells ? heat(cells[0]) : ""}${index ? "" : " first"}` });
      if (cells) {
        const words = label(engine, aspect, cells[0]);
        box.append(element("a", { href: fragment(row, engine, aspect), tabindex: "-1", "aria-label": words,
          title: words }, data.letters[cells[0].verdict]));
      }
      line.append(box);
    });
  }
  return line;
}

// Draw rows up to a number of them.
function drawUpTo(count) {
  body.append(...shown.slice(body.rows.length, count).map((row) => (row.line ??= drawRow(row))));
  const rest = shown.length - body.rows.length;
  field("more").hidden = !rest;
  field("more").firstElementChild.textContent = `Show more rows (${rest.toLocaleString("en")} left)`;
}

function draw() {
  shown = selected(filter);
  for (const link of body.querySelectorAll("a[tabindex='0']")) link.tabIndex = -1;
  body.replaceChildren();
  drawUpTo(PORTION);
  if (!shown.length) {
    const width = 2 + columns.reduce((sum, { aspects }) => sum + aspects.length, 0);
    body.append(element("tr", {}, element("td", { colspan: width, class: "dtype" }, "No row fits these filters.")));
    field("more").hidden = true;
  }
  const first = body.querySelector("a");
  if (first) first.tabIndex = 0;
  field("status").textContent =
    `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows (a row is one case in one dtype)`;
  for (const head of grid.tHead.querySelectorAll("[data-sort]")) {
    const sorted = head.dataset.sort === filter.sort;
    if (sorted) head.setAttribute("aria-sort", filter.sort === "case" ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
}

// Change filters, and show them in the form.
function update(changes) {
  Object.assign(filter, changes);
  for (const id of ["search", "verdict", "dtype", "sort"]) if (field(id).value !== filter[id]) field(id).value = filter[id];
  for (const name of ["who", "which"]) {
    for (const input of field(name).querySelectorAll("input")) input.checked = input.value === filter[name];
  }
  field("which").hidden = filter.who !== "one";
  draw();
}

// Open the cell that the address names.
function follow() {
  const dialog = field("detail");
  const notice = field("missing");
  notice.hidden = true;
  if (!location.hash.includes("=")) {
    dialog.close();
    return;
  }
  const place = located(location.hash);
  if (place) {
    showDetail(place);
    return;
  }
  dialog.close();
  notice.textContent = "This page has no cell of the link's name: the report is of another run.";
  notice.hidden = false;
}

// Move the focus between cells by the arrow keys; Home and End go to the ends of a row.
function move(event) {
  const link = event.target.closest("a");
  if (!link || event.altKey || event.ctrlKey || event.metaKey) return;
  const line = link.closest("tr");
  const column = link.parentElement.cellIndex;
  const links = [...line.querySelectorAll("a")];
  const beside = (step) => links[links.indexOf(link) + step];
  const along = (side) => {
    let next = line[side];
    if (!next && side === "nextElementSibling") {
      drawUpTo(body.rows.length + PORTION);
      next = line[side];
    }
    while (next && !next.cells[column]?.firstElementChild) next = next[side];
    return next?.cells[column].firstElementChild;
  };
  const target = {
    ArrowLeft: () => beside(-1), ArrowRight: () => beside(1), Home: () => links[0], End: () => links.at(-1),
    ArrowUp: () => along("previousElementSibling"), ArrowDown: () => along("nextElementSibling"),
  }[event.key]?.();
  if (!target) return;
  event.preventDefault();
  link.tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
  target.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function drawKey() {
  const heats = [
    ["h0", "=", "no error"], ["h1", "w", "up to 0.001 of the tolerance"], ["h2", "w", "up to 0.01"],
    ["h3", "w", "up to 0.1"], ["h4", "w", "up to the tolerance"], ["x5", "x", "up to 10 times"],
    ["x6", "x", "up to 1,000 times"], ["x7", "x", "more, or not a number"], ["k6", "k", "known"],
    ["e", "!", "error"], ["u", "-", "not executed"],
  ];
  const kinds = Object.keys(data.aspects).map((aspect) => ["plain", aspect.slice(0, 1), `column: ${aspect}`]);
  const letters = ["bitwise", "rounded"].map((name) => ["h0", data.letters[name], data.meaning[name]]);
  field("key").replaceChildren(...[...heats, ...letters, ...kinds].map(([kind, letter, words]) =>
    element("span", {}, element("b", { class: kind }, letter), words)));
}

function start() {
  drawChips();
  drawSelect("verdict", [["", "all"], ...data.verdicts.map((name) => [name, name])]);
  drawSelect("dtype", [["", "all"], ...dtypes.map((name) => [name, name])]);
  drawSelect("sort", [["worst", "worst first"], ["case", "order of the run"],
    ...engines.map((engine) => [engine, `worst of ${engine}`])]);
  field("search").addEventListener("input", () => update({ search: field("search").value }));
  field("filters").addEventListener("submit", (event) => event.preventDefault());
  field("filters").addEventListener("reset", (event) => { event.preventDefault(); update(START); });
  field("more").firstElementChild.addEventListener("click", () => drawUpTo(body.rows.length + PORTION));
  grid.addEventListener("keydown", move);
  const box = grid.parentElement;
  box.addEventListener("scroll", () => {
    if (box.scrollTop + 2 * box.clientHeight > box.scrollHeight) drawUpTo(body.rows.length + PORTION);
  }, { passive: true });
  // A link that is followed twice changes no address, so that no event would open its dialog again.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href*='=']");
    if (link && link.getAttribute("href") === location.hash) follow();
  });
  addEventListener("hashchange", follow);
  addEventListener("beforeprint", () => {
    drawUpTo(shown.length);
    for (const section of document.querySelectorAll("#summary details")) section.open = true;
  });
  drawHead();
  drawKey();
  field("legend").open = matchMedia("(min-width: 60rem)").matches;
  draw();
  field("matrix").hidden = !rows.length;
  follow();
  document.body.dataset.ready = Math.round(performance.now()); // milliseconds since the page was asked for
}

start();
