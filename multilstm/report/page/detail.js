// One cell of the matrix in a dialog: its lines, their causes, and the commands that repeat them.

// Return an element. Texts become text nodes, never HTML.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== ""));
  return made;
}

const number = (value) => (value === null ? "–" : value === 0 ? "0" : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5
  ? String(value) : value.toExponential(1));

// The class that colours a verdict: by log10(error / tolerance).
function heat(cell) {
  if (cell.verdict === "unsupported") return "u";
  if (cell.verdict === "error") return "e";
  const size = cell.share === null ? Infinity : cell.share > 0 ? Math.log10(cell.share) : -Infinity;
  const outside = size <= 1 ? 5 : size <= 3 ? 6 : 7;
  if (cell.verdict === "known") return `k${outside}`;
  if (cell.verdict === "diverges") return `x${outside}`;
  return `h${size === -Infinity ? 0 : size <= -3 ? 1 : size <= -2 ? 2 : size <= -1 ? 3 : 4}`;
}

// Return a drawing in units of its own; the words describe it, and without words a reader of the screen skips it.
function drawing(width, height, words, kind) {
  const space = "http://www.w3.org/2000/svg";
  const made = document.createElementNS(space, "svg");
  made.setAttribute("viewBox", `0 0 ${width} ${height}`);
  made.setAttribute("class", kind);
  if (words) {
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", words);
  } else {
    made.setAttribute("aria-hidden", "true");
  }
  const add = (name, attributes, content = "") => {
    const shape = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
    shape.textContent = content;
    made.append(shape);
  };
  return [made, add];
}

const DECADES = 6; // on both sides of the tolerance
const logarithm = (share) => Math.max(-DECADES, Math.min(DECADES, share === null ? DECADES : Math.log10(share)));
const colour = (cell) => (cell.verdict === "known" ? "bar known" : DIFFERS.has(cell.verdict) ? "bar bad" : "bar");

// The error as a bar on a logarithmic scale of shares from 1e-6 to 1e6; the line is the tolerance.
function bar(cell) {
  const [made, add] = drawing(120, 12, "", "share");
  add("rect", { class: colour(cell), x: 0, y: 2, height: 8, width: Math.max(1, (logarithm(cell.share) + DECADES) * 10) });
  add("line", { class: "axis", x1: 60, x2: 60, y1: 0, y2: 12 });
  return made;
}

// The error over the timesteps: one bar for each stretch of them, on a logarithmic scale.
function curve(cell) {
  const [timesteps, ...shares] = cell.overTime;
  const [left, top, width, height] = [52, 8, 540, 110];
  const first = shares.findIndex((share) => share === null || share > 1);
  const stretch = (index) => Math.floor((index * timesteps) / shares.length);
  const words = `${cell.quantity}: error / tolerance at ${timesteps} timesteps; above 1 from timestep ${stretch(first)} on`;
  const [made, add] = drawing(left + width + 8, top + height + 34, words, "curve");
  const sizes = shares.map((share) => (share === 0 ? null : logarithm(share)));
  const used = sizes.filter((size) => size !== null);
  const [low, high] = [Math.floor(Math.min(-1, ...used)), Math.ceil(Math.max(1, ...used))];
  const y = (size) => top + (height * (high - size)) / (high - low);
  for (let decade = low; decade <= high; decade += Math.ceil((high - low) / 5)) {
    add("line", { class: "grid-line", x1: left, x2: left + width, y1: y(decade), y2: y(decade) });
    add("text", { x: left - 6, y: y(decade) + 4, "text-anchor": "end" }, decade === 0 ? "1" : `1e${decade}`);
  }
  const step = width / shares.length;
  sizes.forEach((size, index) => {
    if (size === null) return;
    const kind = size > 0 ? colour(cell) : "bar";
    add("rect", { class: kind, x: left + index * step, width: Math.max(1, step - 1), y: y(size), height: Math.max(1, y(low) - y(size)) });
  });
  add("line", { class: "axis", x1: left, x2: left + width, y1: y(0), y2: y(0) });
  add("text", { x: left, y: top + height + 16 }, "0");
  add("text", { x: left + width, y: top + height + 16, "text-anchor": "end" }, String(timesteps - 1));
  add("text", { x: left + width / 2, y: top + height + 30, "text-anchor": "middle" }, "timestep");
  return made;
}

function curves(cells) {
  const drawn = cells.filter((cell) => cell.overTime);
  if (!drawn.length) return [];
  const figures = drawn.map((cell) => element("figure", {},
    element("figcaption", {}, `${cell.quantity}: largest error / tolerance at each timestep; the line is the tolerance`),
    curve(cell)));
  const rest = figures.splice(MANY);
  const folded = rest.length ? [element("details", {}, element("summary", {}, `${rest.length} more`), ...rest)] : [];
  return [element("h3", {}, "Error over timesteps"), ...figures, ...folded];
}

const tag = (cell) =>
  element("span", { class: `tag ${heat(cell)}`, title: data.meaning[cell.verdict] },
    `${data.letters[cell.verdict]} ${cell.verdict}`);

// The name of a line; agreeing quantities of a kind unfold.
function nameOf(place, cell) {
  const link = element("a", { href: fragment(place.row, place.engine, place.aspect, cell.quantity) }, cell.quantity);
  if (cell.names.length === 1) return [link];
  const summary = element("summary", {}, `${cell.names.length} quantities${cell.share && cell.worst ? `, worst ${cell.worst}` : ""}`);
  return [link, element("details", {}, summary, cell.names.join(", "))];
}

function quantityTable(place, cells) {
  const head = ["quantity", "verdict", "error / tolerance", "tolerance", "distance", "ulp"];
  const body = cells.map((cell) => {
    const measured = cell.verdict !== "unsupported" && cell.verdict !== "error";
    return element("tr", { "aria-current": isNamed(place, cell) ? "true" : null },
      element("th", { scope: "row" }, ...nameOf(place, cell)),
      element("td", {}, tag(cell)),
      element("td", {}, ...(measured ? [cell.share === 0 ? "" : bar(cell), ` ${number(cell.share)}`] : [])),
      element("td", {}, measured ? cell.tolerance : ""),
      element("td", {}, measured ? number(cell.distance) : ""),
      element("td", {}, measured && !cell.worst ? number(cell.ulp) : ""));
  });
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Quantities" },
    element("table", {},
      element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...body)));
}

// Whether an address names a line: the quantity, or one of the quantities that it sums up.
const isNamed = (place, cell) => cell.quantity === place.quantity || cell.names.includes(place.quantity);

const MANY = 3; // texts under one heading; more of them are folded

// Return texts under a heading, each once; nothing where there are none.
function remarks(title, texts, kind = "pre") {
  const blocks = [...new Set(texts)].filter(Boolean).map((line) => element(kind, {}, line));
  if (!blocks.length) return [];
  const rest = blocks.splice(MANY);
  const folded = rest.length ? [element("details", {}, element("summary", {}, `${rest.length} more`), ...rest)] : [];
  return [element("h3", {}, title), ...blocks, ...folded];
}

function ledgerRows(cells) {
  const ids = [...new Set(cells.flatMap((cell) => cell.known))];
  return ids.flatMap((id) => {
    const { title, consequence, advice, link } = data.ledger[id];
    return [
      element("h3", {}, `Row of the ledger: ${id}`),
      element("p", {}, `${title}. ${consequence}`),
      ...(advice ? [element("p", {}, advice)] : []),
      ...(link.startsWith("https://")
        ? [element("p", {}, element("a", { href: link, rel: "noreferrer" }, link))] : []),
    ];
  });
}

function tolerances(cells) {
  const judged = cells.filter((cell) => cell.verdict !== "unsupported" && cell.verdict !== "error");
  const lines = [...new Set(judged.map((cell) => cell.reason))].filter(Boolean).map((reason) => {
    const kinds = new Set(judged.filter((cell) => cell.reason === reason).map((cell) => cell.kind));
    return `${[...kinds].join(", ")}: ${reason}.`;
  });
  const widened = judged.filter((cell) => cell.response).map((cell) =>
    `${cell.quantity}: ${number(cell.response)} of the tolerance is rounding that this model amplifies.`);
  return remarks("Tolerances", [...lines, ...widened], "p");
}

const quoted = (word) =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\"'\"'")}'`;

// The command that computes some cells of a job again.
function command(cells) {
  const { run, name, engine, dtype, device, layers } = cells[0].job;
  if (!run.command) return "";
  const options = [
    ...(run.model ? [] : ["--case", name]),
    ...(run.engines.includes(engine) ? ["--engine", engine] : []),
    ...["--dtype", dtype, "--layers", layers],
    ...(device === "cpu" ? [] : ["--device", device]),
    ...["--quantity", ...new Set(cells.map((cell) => cell.kind))],
  ];
  return `${run.command} ${options.map(quoted).join(" ")}`;
}

async function copy(line, button) {
  try {
    await navigator.clipboard.writeText(line);
  } catch {
    const area = element("textarea", { "aria-hidden": "true" });
    area.value = line;
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
}

function copyButton(label, line) {
  const button = element("button", { type: "button", "data-label": label }, label);
  button.addEventListener("click", () => copy(line, button));
  return button;
}

function repetition(cells) {
  const line = command(cells);
  const none = "None: the run came from Python, or a name has characters that are not printable.";
  return [
    element("h3", {}, "Command that repeats this"),
    line ? element("div", { class: "command" }, element("pre", {}, line), copyButton("Copy", line))
      : element("p", {}, none),
  ];
}

function facts(place, cells) {
  const { run, device, dtype, layers, reduction, seconds, kernel } = cells[0].job;
  const pairs = {
    quantities: place.aspect, computed: `in ${dtype} on ${device} with ${layers} layers in ${seconds} s`,
    kernel: kernel || "none ran", shortened: reduction,
    report: data.runs.length > 1 ? run.name : "",
  };
  return element("dl", {}, ...Object.entries(pairs).filter(([, value]) => value).flatMap(([name, value]) =>
    [element("dt", {}, name), element("dd", {}, value)]));
}

// Fill the dialog with a cell and show it.
function showDetail(place) {
  const dialog = document.getElementById("detail");
  const cells = place.row.engines.get(place.engine).get(place.aspect);
  const named = cells.filter((cell) => isNamed(place, cell));
  const first = [...named, ...cells.filter((cell) => !named.includes(cell))];
  const close = element("button", { type: "button" }, "Close");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(
    element("header", {}, element("h2", { id: "detail-title" }, `${place.row.name} on ${place.engine}`), close),
    facts(place, cells),
    ...remarks("Difference", first.map((cell) => cell.message)),
    ...remarks("Explanation", first.map((cell) => cell.explanation)),
    ...curves(first),
    ...ledgerRows(named.length ? named : cells),
    ...repetition(named.length ? named : cells),
    element("h3", {}, "Quantities"),
    quantityTable(place, cells),
    ...tolerances(cells),
    element("p", {}, copyButton("Copy the link to this cell", location.href)),
  );
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  dialog.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}
