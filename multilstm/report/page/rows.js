"use strict";
// The data of the page as rows: one for each case, dtype, device and kind of layers of a run.

const data = JSON.parse(document.getElementById("data").textContent);
const text = (place) => data.texts[place || 0];
const DIFFERS = new Set(["known", "diverges", "error"]);
const RANK = Object.fromEntries(
  ["unsupported", ...data.verdicts.filter((name) => name !== "unsupported")].map((name, rank) => [name, rank]),
);
const ASPECT_OF = Object.fromEntries(
  Object.entries(data.aspects).flatMap(([aspect, kinds]) => kinds.map((kind) => [kind, aspect])),
);

// A number that orders cells: the verdict first, then the error as a share of the tolerance.
function severity(cell) {
  const size = cell.share === null ? 30 : cell.share > 0 ? Math.log10(cell.share) : -30;
  return RANK[cell.verdict] + (Math.max(-30, Math.min(30, size)) + 30) / 61;
}

function cellOf(values, run, job) {
  const [quantity, verdict, tolerance = 0, distance = 0, share = 0, ulp = 0, message, explanation, known, response] =
    values;
  const name = text(quantity);
  const kind = name.split(":", 1)[0];
  const cell = {
    quantity: name, kind, aspect: ASPECT_OF[kind], verdict: data.verdicts[verdict], tolerance: text(tolerance),
    distance, share, ulp, message: text(message), explanation: text(explanation), known: known || [],
    response: response || 0, reason: text(run.reasons[`${job.dtype}/${job.device}/${kind}`]), job,
  };
  cell.severity = severity(cell);
  return cell;
}

function readRows() {
  const rows = new Map();
  for (const run of data.runs) {
    for (const [caseAt, engineAt, deviceAt, dtypeAt, layersAt, seconds, kernelAt, cells] of run.jobs) {
      const [name, engine, device, dtype, layers] = [caseAt, engineAt, deviceAt, dtypeAt, layersAt].map(text);
      const job = { run, name, engine, device, dtype, layers, seconds, kernel: text(kernelAt) };
      const key = JSON.stringify([run.name, name, device, dtype, layers]);
      if (!rows.has(key)) {
        rows.set(key, { place: rows.size, run: run.name, name, device, dtype, layers, engines: new Map() });
      }
      const row = rows.get(key);
      const aspects = row.engines.get(engine) || new Map();
      row.engines.set(engine, aspects);
      for (const values of cells) {
        const cell = cellOf(values, run, job);
        if (!aspects.has(cell.aspect)) aspects.set(cell.aspect, []);
        aspects.get(cell.aspect).push(cell);
      }
    }
  }
  return [...rows.values()].map(finished);
}

// Add the facts by which rows are filtered and sorted.
function finished(row) {
  const words = new Set([row.name, row.dtype, row.run]);
  row.worst = new Map();
  row.verdicts = new Set();
  row.differing = [];
  for (const [engine, aspects] of row.engines) {
    let worst = -1;
    let differs = false;
    words.add(engine);
    for (const cells of aspects.values()) {
      cells.sort((one, other) => other.severity - one.severity);
      worst = Math.max(worst, cells[0].severity);
      for (const cell of cells) {
        row.verdicts.add(cell.verdict);
        differs ||= DIFFERS.has(cell.verdict);
        words.add(cell.quantity).add(cell.job.kernel).add(cell.explanation);
        for (const id of cell.known) words.add(id);
      }
    }
    row.worst.set(engine, worst);
    if (differs) row.differing.push(engine);
  }
  row.severity = Math.max(...row.worst.values());
  row.words = [...words].join("\n").toLowerCase();
  return row;
}

const rows = readRows();
const engines = [...new Set(rows.flatMap((row) => [...row.engines.keys()]))];
const dtypes = [...new Set(rows.map((row) => row.dtype))];
// The parts of a row's key that vary on this page.
const SHOWN_KEYS = ["run", "device", "layers"].filter((key) => new Set(rows.map((row) => row[key])).size > 1);
// The kinds of quantities of each engine.
const columns = engines.map((engine) => ({
  engine,
  aspects: Object.keys(data.aspects).filter((aspect) => rows.some((row) => row.engines.get(engine)?.has(aspect))),
}));

const WHO = {
  one: ["Exactly one engine differs", (row) => row.differing.length === 1],
  several: ["Several differ", (row) => row.differing.length > 1],
  none: ["None differs", (row) => row.differing.length === 0],
  all: ["All", () => true],
};

function selected(filter) {
  const words = filter.search.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = rows.filter(
    (row) =>
      WHO[filter.who][1](row) &&
      (filter.who !== "one" || !filter.which || row.differing[0] === filter.which) &&
      (!filter.dtype || row.dtype === filter.dtype) &&
      (!filter.verdict || row.verdicts.has(filter.verdict)) &&
      words.every((word) => row.words.includes(word)),
  );
  const size = (row) => (filter.sort === "worst" ? row.severity : (row.worst.get(filter.sort) ?? -1));
  if (filter.sort === "case") return chosen;
  return chosen.sort((one, other) => size(other) - size(one) || one.place - other.place);
}

// The address of a cell within the page.
function fragment(row, engine, aspect, quantity) {
  const address = new URLSearchParams({ case: row.name, dtype: row.dtype });
  for (const key of SHOWN_KEYS) address.set(key, row[key]);
  address.set("engine", engine);
  address.set("kind", aspect);
  if (quantity) address.set("quantity", quantity);
  return `#${address}`;
}

// The cell of an address, or null where this page has none.
function located(hash) {
  const address = new URLSearchParams(hash.slice(1));
  const [engine, aspect] = [address.get("engine"), address.get("kind")];
  const row = rows.find(
    (one) =>
      one.name === address.get("case") &&
      one.dtype === address.get("dtype") &&
      SHOWN_KEYS.every((key) => !address.has(key) || one[key] === address.get(key)) &&
      one.engines.get(engine)?.has(aspect),
  );
  return row ? { row, engine, aspect, quantity: address.get("quantity") } : null;
}
