// The shop's page: browse, one product or photo with what is similar, and the sliders of the rule.
//
// The address holds what is shown (?q=, ?label=, ?page=; ?product=; ?photo=), so that links, reload and back work.
// Whatever the shop says is written as text, never as HTML: names are anybody's.

const PAGE_SIZE = 24;
const TOP = 12;
const LEVELS = 4;
const PAUSE_MS = 80; // between two questions while a slider moves
const PHOTO_PAUSE_MS = 250; // a photo goes up with each of them
const TYPING_PAUSE_MS = 200;
const LONGEST_SIDE = 1024;
const SENT_AS_IT_IS = 1 << 20; // bytes
const LARGEST_FILE = 100 << 20;
const SLIDERS = [
  { name: "visual_weight", kind: "look", title: "Look", hint: "how much it counts that the pictures look alike" },
  { name: "colour_weight", kind: "colour", title: "Colour", hint: "how much it counts that the colours are alike" },
  { name: "price_weight", kind: "price", title: "Price", hint: "how much it counts that the price levels are near" },
  { name: "filter", kind: "wide", title: "How wide", hint: "how many of the nearest by look are considered" },
];

const at = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** What went wrong, in words for the person at the screen. */
class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

// ---------------------------------------------------------------------------------------------------- asking

const waiting = new Map(); // what is asked → how to take the question back

/** Take back the question asked before under this name, and return the signal for the new one. */
function instead(name) {
  waiting.get(name)?.abort();
  waiting.set(name, new AbortController());
  return waiting.get(name).signal;
}

function askNoMore() {
  for (const question of waiting.values()) question.abort();
}

async function ask(address, options = {}) {
  let reply;
  try {
    reply = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The service does not answer. See that it runs and that you are connected, then try again.");
  }
  const body = await reply.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return {};
  });
  if (!reply.ok) throw new Problem(asSentence(body.detail ?? `the service failed (${reply.status})`), reply.status);
  return body;
}

const productAddress = (id) => `/products/${encodeURIComponent(id)}`;
const pictureAddress = (id) => `/images/${encodeURIComponent(id)}`;

let shop = null; // labels, currency, default rule; asked once

async function loadShop() {
  if (shop) return;
  const told = await ask("/labels");
  if (shop) return;
  shop = told;
  at("shop").textContent = `${counted(shop.products, "product")} · model ${shop.model}`;
  at("labels").replaceChildren(
    ...[{ label: null, products: shop.products }, ...shop.labels].map(({ label, products }) => {
      const link = element("a", label ?? "All products");
      link.href = addressOf({ label });
      link.dataset.label = label ?? "";
      link.append(" ", element("span", products.toLocaleString()));
      return element("li", link);
    }),
  );
  for (const select of [at("browse-label"), at("photo-label")]) {
    select.append(...shop.labels.map(({ label }) => new Option(label, label)));
  }
  at("stock").hidden = !shop.knows_stock;
  startSliders();
}

// ---------------------------------------------------------------------------------------------------- words

function element(tag, ...contents) {
  const made = document.createElement(tag);
  made.append(...contents);
  return made;
}

function asSentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}

const counted = (number, noun) => `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;

function priced(price) {
  const digits = { minimumFractionDigits: Number.isInteger(price) ? 0 : 2, maximumFractionDigits: 2 };
  return shop.currency + price.toLocaleString(undefined, digits);
}

const levelled = (level) => (Number.isInteger(level) ? `level ${level} of ${LEVELS}` : "no level");

/** Write a price and its level, or that there is none left; an unknown price says so. */
function writeCost(place, { price, price_level: level, in_stock: available }) {
  const known = price !== null;
  const words = element("strong", known ? priced(price) : "no price");
  if (!known) words.className = "unpriced";
  const told = known || Number.isInteger(level) ? levelled(level) : "";
  place.replaceChildren(words, element("span", available === false ? "sold out" : told));
}

let speech = 0;

/** Tell a screen reader, once nothing new came for a moment. */
function say(text) {
  clearTimeout(speech);
  speech = setTimeout(() => (at("spoken").textContent = text), 400);
}

/** Show what went wrong, and a button where trying again may help. */
function tell(problem, again) {
  const words = element("span", problem.message);
  if (!again || [404, 413, 415, 422].includes(problem.status)) return at("trouble").replaceChildren(words);
  const button = element("button", "Try again");
  button.type = "button";
  button.addEventListener("click", again);
  at("trouble").replaceChildren(words, button);
}

const allIsWell = () => at("trouble").replaceChildren();

// ---------------------------------------------------------------------------------------------------- addresses

let entry = newEntry(); // of the browser's history, the one that is shown
let shownAddress = null;
const scrolled = new Map(); // entry → how far down it was left

function newEntry() {
  const key = history.state?.key ?? String(Math.random());
  history.replaceState({ key }, "");
  return key;
}

/** Return what is given as the end of an address; nothing where nothing is. */
function queryOf(wanted) {
  const given = Object.entries(wanted).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

const addressOf = (wanted) => `/${queryOf(wanted)}`;

const asked = () => Object.fromEntries(new URLSearchParams(location.search));

/** Go to an address of this page; `quietly` leaves the focus where it is. */
function go(address, { replace = false, quietly = false } = {}) {
  keepSettings();
  scrolled.set(entry, scrollY);
  if (replace || address === location.pathname + location.search) {
    history.replaceState(history.state, "", address);
  } else {
    entry = String(Math.random());
    history.pushState({ key: entry }, "", address);
  }
  return show({ quietly });
}

/** Show what the address says. */
async function show({ quietly = false, back = false } = {}) {
  const cameFrom = back ? new URLSearchParams(shownAddress ?? "").get("product") : null;
  shownAddress = location.search;
  askNoMore();
  clearTimeout(keeping);
  clearTimeout(refreshing);
  clearTimeout(typing);
  refreshing = 0;
  allIsWell();
  const wanted = asked();
  const view = wanted.product !== undefined ? showProduct : wanted.photo !== undefined ? showPhoto : showBrowse;
  if (!quietly && !back) scrollTo(0, 0);
  try {
    const heading = await view(wanted);
    if (back) scrollTo(0, scrolled.get(entry) ?? 0);
    if (quietly) return;
    const left = cameFrom && document.querySelector(`section:not([hidden]) [data-id="${CSS.escape(cameFrom)}"] a`);
    (left || heading).focus({ preventScroll: true });
  } catch (problem) {
    if (problem.name === "AbortError") return;
    if (!(problem instanceof Problem)) throw problem;
    tell(problem, () => show({ quietly }));
    if (!quietly) at("view").focus({ preventScroll: true });
  }
}

function reveal(view) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section !== view;
}

function entitle(name) {
  document.title = name ? `${name} · Visual recommender` : "Visual recommender";
}

// ---------------------------------------------------------------------------------------------------- tiles

const tileTemplate = at("tile").content.firstElementChild;
const seen = new Map(); // product id → its row, so that a product opens with its name at once

function newTile() {
  return tileTemplate.cloneNode(true);
}

/** Fill a list with as many grey tiles as are about to come. */
function drawWaiting(list, count, scores = false) {
  const tiles = Array.from({ length: count }, () => {
    const tile = newTile();
    tile.classList.add("waiting");
    tile.setAttribute("aria-hidden", "true");
    if (scores) tile.append(at("scores").content.cloneNode(true));
    return tile;
  });
  list.replaceChildren(...tiles);
  list.setAttribute("aria-busy", "true");
}

function clear(list) {
  list.replaceChildren();
  list.removeAttribute("aria-busy");
}

function fillTile(tile, product, address) {
  const id = product.product_id;
  seen.set(id, product);
  if (tile.dataset.id !== id) {
    tile.dataset.id = id;
    tile.querySelector("img").src = pictureAddress(id);
  }
  const link = tile.querySelector("a");
  link.textContent = product.name ?? id;
  link.href = address;
  tile.querySelector(".label").textContent = product.label ?? "";
  writeCost(tile.querySelector(".cost"), product);
  return tile;
}

/** Write the scores of a recommendation; prices without a level were not compared. */
function fillScores(tile, item, comparable) {
  if (!tile.querySelector(".scores")) {
    tile.prepend(Object.assign(element("span"), { className: "rank" }));
    tile.append(at("scores").content.cloneNode(true));
  }
  tile.querySelector(".rank").textContent = item.rank;
  tile.querySelector(".why").textContent = item.why;
  const price = comparable && Number.isInteger(item.price_level) ? item.price_score : null;
  for (const [kind, score] of Object.entries({ look: item.visual, colour: item.colour, price })) {
    const row = tile.querySelector(`.scores .${kind}`);
    row.querySelector("dd").textContent = score === null ? "–" : score.toFixed(2);
    row.querySelector("i").style.width = `${100 * (score ?? 0)}%`;
  }
}

/** Show tiles in a new order: those that stay glide to their place, those that come fade in. */
function arrange(list, tiles) {
  const before = new Map(Array.from(list.children, (tile) => [tile, tile.getBoundingClientRect()]));
  list.replaceChildren(...tiles);
  if (still.matches) return;
  for (const tile of tiles) {
    const was = before.get(tile);
    const is = tile.getBoundingClientRect();
    const start = was ? { transform: `translate(${was.left - is.left}px, ${was.top - is.top}px)` } : { opacity: 0 };
    const moves = !was || was.left !== is.left || was.top !== is.top;
    if (moves) tile.animate([start, {}], { duration: 240, easing: "ease-out" });
  }
}

document.addEventListener(
  "error",
  ({ target }) => target instanceof HTMLImageElement && target.parentElement.classList.add("none"),
  true,
);

// ---------------------------------------------------------------------------------------------------- the shop

let typing = 0;

async function showBrowse({ q = "", label = "", price_level = "", page = "1" }) {
  const list = at("products");
  const heading = at("browse").querySelector("h1");
  reveal(at("browse"));
  if (at("q").value.trim() !== q) at("q").value = q;
  if (!list.children.length && at("nothing").hidden) drawWaiting(list, PAGE_SIZE);
  list.setAttribute("aria-busy", "true");
  const signal = instead("products");
  const name = [q && `“${q}”`, label].filter(Boolean).join(" in ");
  heading.textContent = name || "All products";
  entitle(name);
  try {
    const [found] = await Promise.all([
      ask(`/products${queryOf({ q, label, price_level, page, size: PAGE_SIZE })}`, { signal }),
      loadShop(),
    ]);
    for (const link of at("labels").querySelectorAll("a")) {
      if (link.dataset.label === label) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    choose(at("browse-label"), label);
    choose(at("browse-level"), price_level);
    drawFound(found, { q, label, price_level });
  } catch (problem) {
    if (problem.name !== "AbortError") {
      clear(list);
      at("found").textContent = "";
      at("pages").hidden = at("nothing").hidden = true;
    }
    throw problem;
  } finally {
    if (!signal.aborted) list.removeAttribute("aria-busy");
  }
  return heading;
}

function drawFound({ total, page, size, products }, wanted) {
  const first = (page - 1) * size + 1;
  const several = total > size && products.length > 0;
  const words = several
    ? `${first.toLocaleString()}–${(first + products.length - 1).toLocaleString()} of ${counted(total, "product")}`
    : counted(total, "product");
  at("found").textContent = words;
  say(words);
  at("products").replaceChildren(
    ...products.map((product) => fillTile(newTile(), product, addressOf({ product: product.product_id }))),
  );
  drawNothing(total, products.length, wanted);
  drawPages(page, Math.ceil(total / size), wanted);
}

function drawNothing(total, shown, { q, label, price_level }) {
  const nothing = at("nothing");
  nothing.hidden = shown > 0;
  if (shown) return;
  const explain = (words, wayOut, wanted) =>
    nothing.replaceChildren(element("p", words), Object.assign(element("a", wayOut), { href: addressOf(wanted) }));
  if (total) {
    explain("There are fewer pages than that.", "To the first page", { q, label, price_level });
  } else if (q && (label || price_level)) {
    explain(`Nothing here is called “${q}”.`, "Search all products", { q });
  } else if (q) {
    explain(`Nothing is called “${q}”. A shorter word may find more.`, "Show all products", {});
  } else {
    explain("There is nothing here.", "Show all products", {});
  }
}

/** Draw links to the first, the last and the nearest pages. */
function drawPages(page, last, wanted) {
  const pages = at("pages");
  pages.hidden = last < 2 || page > last;
  if (pages.hidden) return;
  const link = (number, text, words) => {
    const made = element("a", text);
    made.href = addressOf({ ...wanted, page: number === 1 ? null : number });
    made.setAttribute("aria-label", words);
    if (number === page) made.setAttribute("aria-current", "page");
    return made;
  };
  const near = innerWidth < 600 ? 0 : 2;
  const numbers = Array.from({ length: last }, (_, index) => index + 1).filter(
    (number) => number === 1 || number === last || Math.abs(number - page) <= near,
  );
  const links = numbers.flatMap((number, index) => {
    const gap = index > 0 && number - numbers[index - 1] > 1 ? [element("span", "…")] : [];
    return [...gap, link(number, number.toLocaleString(), `Page ${number} of ${last}`)];
  });
  if (page > 1) links.unshift(link(page - 1, "‹", "Previous page"));
  if (page < last) links.push(link(page + 1, "›", "Next page"));
  pages.replaceChildren(...links);
}

function choose(select, value) {
  select.value = value;
  if (select.selectedIndex < 0) select.value = "";
}

function search() {
  const { label, price_level, product, photo } = asked();
  const q = at("q").value.trim();
  const browsing = product === undefined && photo === undefined;
  if (browsing && q === (asked().q ?? "")) return;
  go(addressOf(browsing ? { q, label, price_level } : { q }), { replace: browsing, quietly: true });
}

at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
at("q").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(search, TYPING_PAUSE_MS);
});
at("narrow").addEventListener("change", () => {
  const chosen = { label: at("browse-label").value, price_level: at("browse-level").value };
  go(addressOf({ q: asked().q, ...chosen }), { quietly: true });
});
at("narrow").addEventListener("submit", (event) => event.preventDefault());

// ---------------------------------------------------------------------------------------------------- the rule

const inputs = {}; // of the sliders, by the names of the service's parameters
let refreshing = 0;
let keeping = 0;

/** Return the coarse step where it reaches the default, else the fine one: what is shown is what counts. */
const stepOf = (value, coarse, fine) => (Math.abs(value / coarse - Math.round(value / coarse)) < 1e-6 ? coarse : fine);

function drawSliders() {
  for (const { name, kind, title, hint } of SLIDERS) {
    const made = at("weight").content.firstElementChild.cloneNode(true);
    made.classList.add(kind);
    const [label, output, input] = made.children;
    label.textContent = title;
    label.htmlFor = input.id = name;
    output.htmlFor = name;
    input.title = asSentence(hint);
    input.addEventListener("input", changed);
    inputs[name] = input;
    at("weights").append(made);
  }
}

/** Let the sliders start at the shop's rule. */
function startSliders() {
  const heaviest = Math.max(...SLIDERS.slice(0, 3).map(({ name }) => shop.rule[name]));
  for (const [name, input] of Object.entries(inputs)) {
    const start = shop.rule[name];
    [input.min, input.max, input.step] =
      name === "filter"
        ? [Math.min(5, start), Math.max(200, start), stepOf(start, 5, 1)]
        : [0, Math.max(4, Math.ceil(2 * heaviest)), stepOf(start, 0.1, 0.01)];
    input.value = start;
    input.defaultValue = input.value;
  }
  at("rule").inert = false;
}

/** Write each slider's value beside it: a weight with its share, the width as a count. */
function writeSliders() {
  const sum = SLIDERS.slice(0, 3).reduce((total, { name }) => total + inputs[name].valueAsNumber, 0);
  for (const [name, input] of Object.entries(inputs)) {
    const value = input.valueAsNumber;
    const share = sum ? Math.round((100 * value) / sum) : 0;
    const words = name === "filter" ? `nearest ${value}` : `${+value.toFixed(2)} · ${share} %`;
    input.previousElementSibling.textContent = words;
    input.setAttribute("aria-valuetext", words);
    input.style.setProperty("--at", `${(100 * (value - input.min)) / (input.max - input.min)}%`);
  }
  at("reset").disabled = !Object.keys(settings()).length;
}

/** Return what differs from the default, as it stands in the address. */
function settings() {
  const given = {};
  for (const [name, { value, defaultValue }] of Object.entries(inputs)) if (value !== defaultValue) given[name] = value;
  if (at("level").value) given.price_level = at("level").value;
  if (at("other-brands").checked) given.other_brands = "1";
  if (at("in-stock").checked) given.in_stock = "1";
  return given;
}

function setSettings(wanted) {
  for (const [name, input] of Object.entries(inputs)) {
    const usable = wanted[name] && Number.isFinite(Number(wanted[name]));
    input.value = usable ? wanted[name] : input.defaultValue;
  }
  choose(at("level"), wanted.price_level ?? "");
  at("other-brands").checked = wanted.other_brands !== undefined;
  at("in-stock").checked = wanted.in_stock !== undefined;
  writeSliders();
}

/** Put the settings into the address, so that reload and links have them. */
function keepSettings() {
  clearTimeout(keeping);
  const { product, photo } = asked();
  if (product === undefined && photo === undefined) return;
  if (!shop) return;
  history.replaceState(history.state, "", addressOf({ product, photo, ...settings() }));
  shownAddress = location.search;
}

/** Ask anew, at most once in a pause; browsers allow fewer changes of the address, which follows later. */
function refreshSoon() {
  if (current.photo) {
    clearTimeout(refreshing);
    refreshing = 0;
  }
  refreshing ||= setTimeout(
    () => {
      refreshing = 0;
      answer().catch((problem) => {
        if (problem.name === "AbortError") return;
        if (!(problem instanceof Problem)) throw problem;
        tell(problem, refreshSoon);
      });
    },
    current.photo ? PHOTO_PAUSE_MS : PAUSE_MS,
  );
  clearTimeout(keeping);
  keeping = setTimeout(keepSettings, 400);
}

at("rule").addEventListener("submit", (event) => event.preventDefault());
at("level").addEventListener("change", changed);
at("other-brands").addEventListener("change", changed);
at("in-stock").addEventListener("change", changed);
at("photo-label").addEventListener("change", changed);
at("photo-price").addEventListener("input", changed);
at("reset").addEventListener("click", () => {
  setSettings({});
  refreshSoon();
  inputs.visual_weight.focus();
});

function changed() {
  writeSliders();
  refreshSoon();
}

// ---------------------------------------------------------------------------------------------------- similar

let current = {}; // whose similar products are shown: {id, brand, level} or {photo}
let photo = null; // {blob, name, address}; in this window's memory only

async function showProduct({ product: id, ...wanted }) {
  at("q").value = "";
  const list = at("recommendations");
  const picture = at("picture");
  const heading = at("name");
  if (current.id !== id || !list.querySelector("[data-id]")) drawWaiting(list, TOP, true);
  current = { id };
  at("similar").classList.remove("start");
  at("answer").hidden = false;
  at("none").hidden = at("drop").hidden = at("about").hidden = true;
  picture.src = pictureAddress(id);
  picture.alt = "";
  at("shown").hidden = false;
  at("shown").classList.remove("none");
  if (shop && seen.has(id)) writeFacts(seen.get(id));
  else for (const part of ["kind", "name", "cost", "details"]) at(part).replaceChildren();
  reveal(at("similar"));
  try {
    const ready = loadShop().then(() => setSettings(wanted));
    const [facts] = await Promise.all([ask(productAddress(id), { signal: instead("facts") }), ready]);
    writeFacts(facts);
    await answer();
  } catch (problem) {
    if (problem.name !== "AbortError") {
      if (!heading.textContent) heading.textContent = "No such product";
      at("answer").hidden = problem.status === 404;
      clear(list);
      at("similar-heading").textContent = "";
    }
    throw problem;
  }
  return heading;
}

function writeFacts(facts) {
  const { name, brand, label, category_path: path } = facts;
  current = { id: facts.product_id, brand, level: facts.price_level };
  const words = name ?? facts.product_id;
  entitle(words);
  at("name").textContent = words;
  at("picture").alt = words;
  at("kind").replaceChildren(...(label ? [Object.assign(element("a", label), { href: addressOf({ label }) })] : []));
  writeCost(at("cost"), facts);
  const rows = Object.entries({ Brand: brand, Category: path?.join(" › "), Id: facts.product_id });
  const known = rows.filter(([, value]) => value);
  at("details").replaceChildren(
    ...known.map(([term, value]) => element("div", element("dt", term), element("dd", value))),
  );
  at("brands").hidden = !brand;
  at("brands").querySelector("span").textContent = brand ? `Not from ${brand}` : "";
}

async function showPhoto(wanted) {
  at("q").value = "";
  const heading = at("name");
  const start = photo === null;
  at("similar").classList.toggle("start", start);
  at("shown").hidden = start;
  at("about").hidden = start;
  at("drop").hidden = at("answer").hidden = false;
  at("brands").hidden = at("none").hidden = true;
  for (const part of ["kind", "cost", "details"]) at(part).replaceChildren();
  heading.textContent = start ? "Find products by a photo" : "Your photo";
  at("drop").querySelector("strong").textContent = start ? "Choose a photo" : "Choose another photo";
  entitle(heading.textContent);
  if (start) {
    at("cost").textContent = "The shop’s products that look like it, in its colours. JPEG, PNG or WebP.";
  } else {
    at("shown").classList.remove("none");
    at("picture").src = photo.address;
    at("picture").alt = `Your photo, ${photo.name}`;
    if (current.photo !== photo) drawWaiting(at("recommendations"), TOP, true);
  }
  current = { photo };
  reveal(at("similar"));
  await loadShop();
  at("photo-price").placeholder = shop.currency;
  setSettings(wanted);
  if (start) return heading;
  try {
    await answer();
  } catch (problem) {
    if (problem.name !== "AbortError") {
      clear(at("recommendations"));
      at("similar-heading").textContent = "";
    }
    throw problem;
  }
  return heading;
}

/** Ask for what is similar by the rule that the sliders say, and show it. */
async function answer() {
  if (current.photo === null) return;
  const list = at("recommendations");
  const signal = instead("answer");
  const rule = Object.fromEntries(SLIDERS.map(({ name }) => [name, inputs[name].value]));
  const wanted = { top: Math.min(TOP, rule.filter), ...rule, price_level: at("level").value };
  if (current.brand && at("other-brands").checked) wanted.brand_not = current.brand;
  if (at("in-stock").checked) wanted.in_stock = "true";
  list.setAttribute("aria-busy", "true");
  try {
    const address = `${productAddress(current.id)}/similar${queryOf(wanted)}`;
    const reply = await (current.photo ? askForPhoto(wanted, signal) : ask(address, { signal }));
    allIsWell();
    drawAnswer(reply);
  } finally {
    if (!signal.aborted) list.removeAttribute("aria-busy");
  }
}

function askForPhoto(wanted, signal) {
  const price = at("photo-price");
  const about = { label: at("photo-label").value, price: price.validity.valid ? price.value : "" };
  const { blob } = current.photo;
  return ask(`/similar${queryOf({ ...wanted, ...about })}`, {
    method: "POST",
    body: blob,
    headers: { "Content-Type": blob.type },
    signal,
  });
}

function drawAnswer({ query, recommendations: items }) {
  const list = at("recommendations");
  const tiles = new Map(Array.from(list.querySelectorAll("[data-id]"), (tile) => [tile.dataset.id, tile]));
  const given = settings();
  const comparable = Number.isInteger(query.price_level);
  if (current.photo) writePhotoFacts(query);
  arrange(
    list,
    items.map((item) => {
      const id = item.product_id;
      const tile = fillTile(tiles.get(id) ?? newTile(), item, addressOf({ product: id, ...given }));
      fillScores(tile, item, comparable);
      return tile;
    }),
  );
  const words = counted(items.length, "similar product");
  at("similar-heading").textContent = words;
  say(items.length ? `${words}, first ${items[0].name ?? items[0].product_id}` : words);
  at("none").hidden = items.length > 0;
  at("none").textContent = "No product like this passes the filters. A wider choice may find one.";
}

function writePhotoFacts({ price, price_level: level }) {
  if (price === null || price === undefined) at("cost").replaceChildren();
  else writeCost(at("cost"), { price, price_level: level });
}

// ---------------------------------------------------------------------------------------------------- a photo

/** Return a file as a picture that is quick to send, turned upright, on white. */
async function prepared(file) {
  if (file.size > LARGEST_FILE) throw new Problem(`${file.name} is too large. Save it with less than 100 MB.`);
  if (!file.type.startsWith("image/")) {
    throw new Problem(`${file.name} is not a picture. Choose a JPEG, PNG or WebP file.`);
  }
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Problem(`${file.name} cannot be read as a picture. Save it as JPEG, PNG or WebP, then choose it again.`);
  });
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const kept = scale === 1 && file.size <= SENT_AS_IT_IS && /^image\/(jpeg|png|webp)$/.test(file.type);
  if (kept) return file;
  const canvas = element("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const brush = canvas.getContext("2d");
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.imageSmoothingQuality = "high";
  brush.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
}

/** Take the first of the files that were chosen, dropped or pasted. */
async function take(files) {
  const [file] = files;
  if (!file) return;
  try {
    const blob = await prepared(file);
    if (photo) URL.revokeObjectURL(photo.address);
    photo = { blob, name: file.name, address: URL.createObjectURL(blob) };
    at("photo-label").value = at("photo-price").value = "";
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (asked().photo === undefined) await go("/?photo=1");
    return tell(problem);
  } finally {
    at("file").value = "";
  }
  const { photo: open } = asked();
  await go(open === undefined ? "/?photo=1" : location.pathname + location.search);
}

const holdsFiles = (transfer) => transfer !== null && Array.from(transfer.types).includes("Files");

at("file").addEventListener("change", ({ target }) => take(Array.from(target.files)));
document.addEventListener("paste", (event) => {
  if (!event.clipboardData.files.length) return;
  event.preventDefault();
  take(Array.from(event.clipboardData.files));
});
document.addEventListener("dragover", (event) => {
  if (!holdsFiles(event.dataTransfer)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  if (!holdsFiles(event.dataTransfer)) return;
  event.preventDefault();
  document.body.classList.remove("dropping");
  take(Array.from(event.dataTransfer.files));
});

// ---------------------------------------------------------------------------------------------------- start

const icon = Object.assign(element("link"), { rel: "icon", type: "image/svg+xml" });
const drawing = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">
  <rect x="2" y="3" width="20" height="4.5" rx="1.5" fill="#1f5a5a"/>
  <rect x="2" y="9.75" width="14" height="4.5" rx="1.5" fill="#c2573a"/>
  <rect x="2" y="16.5" width="8" height="4.5" rx="1.5" fill="#c49a3a"/>
</svg>`;
icon.href = URL.createObjectURL(new Blob([drawing], { type: icon.type }));
document.head.append(icon);

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const plain = !event.button && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || link.origin !== location.origin || link.pathname !== "/" || link.hash) return;
  event.preventDefault();
  go(link.pathname + link.search);
});

addEventListener("popstate", () => {
  if (location.search === shownAddress) return; // the skip link
  scrolled.set(entry, scrollY);
  entry = newEntry();
  show({ back: true });
});

drawSliders();
history.scrollRestoration = "manual";
show({ quietly: true });
