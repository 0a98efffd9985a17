// The data of the page as rows: one for each case, dtype, device and kind of layers of a run.

// Return the data of the page: Base64 of JSON that zlib compressed.
async function unpacked() {
  const bytes = Uint8Array.from(atob(document.getElementById("data").textContent), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

document.getElementById("unreadable").hidden = "DecompressionStream" in window;
const data = await unpacked();
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

// One line of a cell of the matrix: a quantity with its facts, or all agreeing quantities of a kind.
function lineOf(kind, names, verdict, facts, job) {
  const line = {
    kind, names, aspect: ASPECT_OF[kind], verdict: data.verdicts[verdict], tolerance: "", distance: null, share: 0,
    ulp: null, message: "", explanation: "", known: [], response: 0, overTime: null, worst: "",
    reason: text(job.run.reasons[`${job.dtype}/${job.device}/${kind}`]), job, ...facts,
  };
  line.quantity = names.length === 1 ? names[0] : kind;
  line.severity = severity(line);
  return line;
}

const GROUPS = data.groups.map(([kindAt, ...places]) => {
  const kind = text(kindAt);
  return { kind, names: places.map((place) => (place ? `${kind}:${text(place)}` : kind)) };
});

// Quantities of one kind with the same facts, usually one.
function lineOfFacts(values, job) {
  const [group, verdict, tolerance = 0, distance = 0, share = 0, ulp = 0, message, explanation, known, response,
    overTime] = values;
  return lineOf(GROUPS[group].kind, GROUPS[group].names, verdict, {
    tolerance: text(tolerance), distance, share, ulp, message: text(message), explanation: text(explanation),
    known: known || [], response: response || 0, overTime: overTime || null,
  }, job);
}

// The lines of a job: its agreeing kinds, then the quantities that keep their facts.
function linesOf(layoutAt, rest, job) {
  const layout = data.layouts[layoutAt];
  const count = layout.length / 3;
  const sums = Array.from({ length: count }, (_, index) => {
    const [group, verdict, tolerance] = layout.slice(3 * index, 3 * index + 3);
    const { kind, names } = GROUPS[group];
    const [share, distance, worst] = rest.slice(3 * index, 3 * index + 3);
    return lineOf(kind, names, verdict, { tolerance: text(tolerance), share, distance, worst: names[worst] }, job);
  });
  return [...sums, ...rest.slice(3 * count).map((values) => lineOfFacts(values, job))];
}

function readRows() {
  const rows = [];
  for (const run of data.runs) {
    for (const [caseAt, deviceAt, dtypeAt, layersAt, reductionAt, ...jobs] of run.rows) {
      const [name, device, dtype, layers, reduction] = [caseAt, deviceAt, dtypeAt, layersAt, reductionAt].map(text);
      const row = { place: rows.length, run: run.name, name, device, dtype, layers, engines: new Map() };
      for (const [engineAt, seconds, kernelAt, layoutAt, ...rest] of jobs) {
        const engine = text(engineAt);
        const job = { run, name, engine, device, dtype, layers, reduction, seconds, kernel: text(kernelAt) };
        const aspects = row.engines.get(engine) || new Map();
        row.engines.set(engine, aspects);
        for (const line of linesOf(layoutAt, rest, job)) {
          if (!aspects.has(line.aspect)) aspects.set(line.aspect, []);
          aspects.get(line.aspect).push(line);
        }
      }
      rows.push(row);
    }
  }
  return rows.map(finished);
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
        for (const name of cell.names) words.add(name);
        words.add(cell.job.kernel).add(cell.explanation);
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
