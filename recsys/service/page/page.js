// The shop's page: browse products, see one product or photo with similar products, and change the ranking rule.
//
// The URL contains what is shown (?q=, ?label=, ?page=; ?product=; ?photo=), so that links, reload and back work.
// Texts of the shop are always set as text, never as HTML: a product name can contain anything.

const PAGE_SIZE = 24;
const TOP = 12;
const PRICE_LEVELS = 4;
const SLIDER_PAUSE_MS = 80; // between two requests while a slider moves
const PHOTO_PAUSE_MS = 250; // the same for a photo, which each request uploads
const TYPING_PAUSE_MS = 200;
const URL_PAUSE_MS = 400; // browsers limit how often a page may change its URL
const MAX_UPLOAD_SIDE = 1024; // pixels
const MAX_UNCHANGED_BYTES = 1 << 20; // smaller photos are uploaded without re-encoding
const MAX_FILE_BYTES = 100 << 20;
const SLIDERS = [
  { name: "visual_weight", kind: "look", title: "Look", hint: "Weight of the visual similarity." },
  { name: "colour_weight", kind: "colour", title: "Colour", hint: "Weight of the colour similarity." },
  { name: "price_weight", kind: "price", title: "Price", hint: "Weight of the price similarity." },
  { name: "filter", kind: "candidates", title: "Candidates", hint: "Number of visually nearest products that are ranked." },
];
const WEIGHTS = SLIDERS.slice(0, 3);

const byId = (id) => document.getElementById(id);
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

/** An error with a message for the person at the screen. */
class Problem extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

// ---------------------------------------------------------------------------------------------------- requests

const controllers = new Map(); // name of a request → its AbortController

/** Abort the request with this name, and return the signal for its replacement. */
function replaceRequest(name) {
  controllers.get(name)?.abort();
  controllers.set(name, new AbortController());
  return controllers.get(name).signal;
}

function abortRequests() {
  for (const controller of controllers.values()) controller.abort();
}

async function fetchJson(url, options = {}) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The service does not answer. Check that it is running and that you are online, then try again.");
  }
  const body = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return {};
  });
  if (response.ok) return body;
  throw new Problem(asSentence(body.detail ?? `the service returned error ${response.status}`), response.status);
}

const productUrl = (id) => `/products/${encodeURIComponent(id)}`;
const imageUrl = (id) => `/images/${encodeURIComponent(id)}`;

let shop = null; // labels, currency and default rule; requested once

async function loadShop() {
  if (shop) return;
  const summary = await fetchJson("/labels");
  if (shop) return; // another call was faster
  shop = summary;
  byId("shop").textContent = `${formatCount(shop.products, "product")} · model ${shop.model}`;
  byId("labels").replaceChildren(
    ...[{ label: null, products: shop.products }, ...shop.labels].map(({ label, products }) => {
      const link = element("a", label ?? "All products");
      link.href = pageUrl({ label });
      link.dataset.label = label ?? "";
      link.append(" ", element("span", products.toLocaleString()));
      return element("li", link);
    }),
  );
  for (const select of [byId("browse-label"), byId("photo-label")]) {
    select.append(...shop.labels.map(({ label }) => new Option(label, label)));
  }
  byId("stock").hidden = !shop.knows_stock;
  initSliders();
}

// ---------------------------------------------------------------------------------------------------- text

function element(tag, ...contents) {
  const node = document.createElement(tag);
  node.append(...contents);
  return node;
}

function asSentence(text) {
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(sentence) ? sentence : `${sentence}.`;
}

const formatCount = (number, noun) => `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;

function formatPrice(price) {
  const digits = { minimumFractionDigits: Number.isInteger(price) ? 0 : 2, maximumFractionDigits: 2 };
  return shop.currency + price.toLocaleString(undefined, digits);
}

const formatLevel = (level) => (Number.isInteger(level) ? `level ${level} of ${PRICE_LEVELS}` : "no price level");

/** Write a price and its level, or that the product is sold out. */
function writeCost(node, { price, price_level: level, in_stock: inStock }) {
  const hasPrice = price !== null;
  const amount = element("strong", hasPrice ? formatPrice(price) : "no price");
  if (!hasPrice) amount.className = "unpriced";
  const levelText = hasPrice || Number.isInteger(level) ? formatLevel(level) : "";
  node.replaceChildren(amount, element("span", inStock === false ? "sold out" : levelText));
}

let announcing = 0;

/** Announce a text to screen readers, after a pause without another one. */
function announce(text) {
  clearTimeout(announcing);
  announcing = setTimeout(() => (byId("status").textContent = text), 400);
}

/** Show a problem, with a button where trying again may help. */
function showProblem(problem, retry) {
  const message = element("span", problem.message);
  if (!retry || [404, 413, 415, 422].includes(problem.status)) return byId("problem").replaceChildren(message);
  const button = element("button", "Try again");
  button.type = "button";
  button.addEventListener("click", retry);
  byId("problem").replaceChildren(message, button);
}

const clearProblem = () => byId("problem").replaceChildren();

// ---------------------------------------------------------------------------------------------------- navigation

let historyKey = newHistoryKey(); // of the current entry of the browser's history
let shownSearch = null; // the query string of the URL that is shown
const scrollPositions = new Map(); // key of a history entry → pixels

function newHistoryKey() {
  const key = history.state?.key ?? String(Math.random());
  history.replaceState({ key }, "");
  return key;
}

/** Return the query string for parameters, without the empty ones. */
function queryString(params) {
  const entries = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return entries.length ? `?${new URLSearchParams(entries)}` : "";
}

const pageUrl = (params) => `/${queryString(params)}`;

const urlParams = () => Object.fromEntries(new URLSearchParams(location.search));

/** Go to a URL of this page. */
function navigate(url, { replace = false, keepFocus = false } = {}) {
  saveSettings();
  scrollPositions.set(historyKey, scrollY);
  if (replace || url === location.pathname + location.search) {
    history.replaceState(history.state, "", url);
  } else {
    historyKey = String(Math.random());
    history.pushState({ key: historyKey }, "", url);
  }
  return render({ keepFocus });
}

/** Show the view that the URL describes. */
async function render({ keepFocus = false, back = false } = {}) {
  const previousProduct = back ? new URLSearchParams(shownSearch ?? "").get("product") : null;
  shownSearch = location.search;
  abortRequests();
  for (const timer of [saving, refreshing, typing]) clearTimeout(timer);
  refreshing = 0;
  clearProblem();
  if (!keepFocus && !back) scrollTo(0, 0);
  const params = urlParams();
  try {
    const heading = await chooseView(params)(params);
    if (back) scrollTo(0, scrollPositions.get(historyKey) ?? 0);
    if (!keepFocus) (linkTo(previousProduct) || heading).focus({ preventScroll: true });
  } catch (problem) {
    if (problem.name === "AbortError") return;
    if (!(problem instanceof Problem)) throw problem;
    showProblem(problem, () => render({ keepFocus }));
    if (!keepFocus) byId("view").focus({ preventScroll: true });
  }
}

function chooseView(params) {
  if (params.product !== undefined) return showProduct;
  return params.photo !== undefined ? showPhoto : showBrowse;
}

/** Return the visible link to a product, if there is one. */
function linkTo(productId) {
  return productId && document.querySelector(`section:not([hidden]) [data-id="${CSS.escape(productId)}"] a`);
}

function showSection(id) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
}

function setTitle(text) {
  document.title = text ? `${text} · Visual recommender` : "Visual recommender";
}

// ---------------------------------------------------------------------------------------------------- tiles

const tileTemplate = byId("tile").content.firstElementChild;
const knownProducts = new Map(); // product id → its fields, so that a product opens with its name at once

function newTile() {
  return tileTemplate.cloneNode(true);
}

/** Fill a list with grey placeholders. */
function showPlaceholders(list, count, scores = false) {
  const tiles = Array.from({ length: count }, () => {
    const tile = newTile();
    tile.classList.add("placeholder");
    tile.setAttribute("aria-hidden", "true");
    if (scores) tile.append(byId("scores").content.cloneNode(true));
    return tile;
  });
  list.replaceChildren(...tiles);
  list.setAttribute("aria-busy", "true");
}

function clear(list) {
  list.replaceChildren();
  list.removeAttribute("aria-busy");
}

function fillTile(tile, product, url) {
  const id = product.product_id;
  knownProducts.set(id, product);
  if (tile.dataset.id !== id) {
    tile.dataset.id = id;
    tile.querySelector("img").src = imageUrl(id);
  }
  const link = tile.querySelector("a");
  link.textContent = product.name ?? id;
  link.href = url;
  tile.querySelector(".label").textContent = product.label ?? "";
  writeCost(tile.querySelector(".cost"), product);
  return tile;
}

/** Write the scores of a recommendation. Prices without a level have no score. */
function fillScores(tile, item, queryHasLevel) {
  if (!tile.querySelector(".scores")) {
    tile.prepend(Object.assign(element("span"), { className: "rank" }));
    tile.append(byId("scores").content.cloneNode(true));
  }
  tile.querySelector(".rank").textContent = item.rank;
  tile.querySelector(".why").textContent = item.why;
  const price = queryHasLevel && Number.isInteger(item.price_level) ? item.price_score : null;
  for (const [kind, score] of Object.entries({ look: item.visual, colour: item.colour, price })) {
    const row = tile.querySelector(`.scores .${kind}`);
    row.querySelector("dd").textContent = score === null ? "–" : score.toFixed(2);
    row.querySelector("i").style.width = `${100 * (score ?? 0)}%`;
  }
}

/** Show tiles in a new order: tiles that stay move to their new position, new tiles fade in. */
function arrange(list, tiles) {
  const oldBoxes = new Map(Array.from(list.children, (tile) => [tile, tile.getBoundingClientRect()]));
  list.replaceChildren(...tiles);
  if (reducedMotion.matches) return;
  for (const tile of tiles) {
    const from = oldBoxes.get(tile);
    const to = tile.getBoundingClientRect();
    const start = from ? { transform: `translate(${from.left - to.left}px, ${from.top - to.top}px)` } : { opacity: 0 };
    const moves = !from || from.left !== to.left || from.top !== to.top;
    if (moves) tile.animate([start, {}], { duration: 240, easing: "ease-out" });
  }
}

document.addEventListener(
  "error",
  ({ target }) => target instanceof HTMLImageElement && target.parentElement.classList.add("none"),
  true,
);

// ---------------------------------------------------------------------------------------------------- browse

let typing = 0;

async function showBrowse({ q = "", label = "", price_level = "", page = "1" }) {
  const list = byId("products");
  const heading = byId("browse").querySelector("h1");
  showSection("browse");
  if (byId("q").value.trim() !== q) byId("q").value = q;
  if (!list.children.length && byId("no-products").hidden) showPlaceholders(list, PAGE_SIZE);
  list.setAttribute("aria-busy", "true");
  const signal = replaceRequest("products");
  const title = [q && `“${q}”`, label].filter(Boolean).join(" in ");
  heading.textContent = title || "All products";
  setTitle(title);
  try {
    const url = `/products${queryString({ q, label, price_level, page, size: PAGE_SIZE })}`;
    const [products] = await Promise.all([fetchJson(url, { signal }), loadShop()]);
    markLabel(label);
    select(byId("browse-label"), label);
    select(byId("browse-level"), price_level);
    drawProducts(products, { q, label, price_level });
  } catch (problem) {
    if (problem.name !== "AbortError") {
      clear(list);
      byId("count").textContent = "";
      byId("pages").hidden = byId("no-products").hidden = true;
    }
    throw problem;
  } finally {
    if (!signal.aborted) list.removeAttribute("aria-busy");
  }
  return heading;
}

function markLabel(label) {
  for (const link of byId("labels").querySelectorAll("a")) {
    if (link.dataset.label === label) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function drawProducts({ total, page, size, products }, params) {
  const first = (page - 1) * size + 1;
  const hasRange = total > size && products.length > 0;
  const range = `${first.toLocaleString()}–${(first + products.length - 1).toLocaleString()} of `;
  const text = (hasRange ? range : "") + formatCount(total, "product");
  byId("count").textContent = text;
  announce(text);
  byId("products").replaceChildren(
    ...products.map((product) => {
      const tile = fillTile(newTile(), product, pageUrl({ product: product.product_id }));
      if (product.why) tile.append(Object.assign(element("p", product.why), { className: "why" }));
      return tile;
    }),
  );
  byId("no-products").hidden = products.length > 0;
  if (!products.length) explainNoProducts(total, params);
  drawPages(page, Math.ceil(total / size), params);
}

function explainNoProducts(total, { q, label, price_level }) {
  const explain = (text, linkText, params) => {
    const link = Object.assign(element("a", linkText), { href: pageUrl(params) });
    byId("no-products").replaceChildren(element("p", text), link);
  };
  if (total) {
    explain("This page does not exist.", "Go to the first page", { q, label, price_level });
  } else if (q && (label || price_level)) {
    explain(`No product matches “${q}” and the filters.`, "Search all products", { q });
  } else if (q) {
    explain(`No product matches “${q}”. Try other words.`, "Show all products", {});
  } else {
    explain("No product matches the filters.", "Show all products", {});
  }
}

/** Draw links to the first, the last and the nearest pages. */
function drawPages(page, last, params) {
  const nav = byId("pages");
  nav.hidden = last < 2 || page > last;
  if (nav.hidden) return;
  const link = (number, text, description) => {
    const node = element("a", text);
    node.href = pageUrl({ ...params, page: number === 1 ? null : number });
    node.setAttribute("aria-label", description);
    if (number === page) node.setAttribute("aria-current", "page");
    return node;
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
  nav.replaceChildren(...links);
}

/** Select an option; the first one where no option has the value. */
function select(node, value) {
  node.value = value;
  if (node.selectedIndex < 0) node.value = "";
}

function search() {
  const { q: shownQuery = "", label, price_level, product, photo } = urlParams();
  const q = byId("q").value.trim();
  const browsing = product === undefined && photo === undefined;
  if (browsing && q === shownQuery) return;
  navigate(pageUrl(browsing ? { q, label, price_level } : { q }), { replace: browsing, keepFocus: true });
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
byId("q").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(search, TYPING_PAUSE_MS);
});
byId("filters").addEventListener("change", () => {
  const filters = { label: byId("browse-label").value, price_level: byId("browse-level").value };
  navigate(pageUrl({ q: urlParams().q, ...filters }), { keepFocus: true });
});
byId("filters").addEventListener("submit", (event) => event.preventDefault());

// ---------------------------------------------------------------------------------------------------- ranking rule

const sliders = {}; // name of the service's parameter → input
let refreshing = 0;
let saving = 0;

/** Return the coarse step if the value is a multiple of it, otherwise the fine one: a slider shows its exact value. */
const stepFor = (value, coarse, fine) => (Math.abs(value / coarse - Math.round(value / coarse)) < 1e-6 ? coarse : fine);

function createSliders() {
  for (const { name, kind, title, hint } of SLIDERS) {
    const node = byId("weight").content.firstElementChild.cloneNode(true);
    node.classList.add(kind);
    const [label, output, input] = node.children;
    label.textContent = title;
    label.htmlFor = input.id = name;
    output.htmlFor = name;
    input.title = hint;
    input.addEventListener("input", updateRule);
    sliders[name] = input;
    byId("weights").append(node);
  }
}

/** Set the sliders to the default rule of the shop. */
function initSliders() {
  const largest = Math.max(...WEIGHTS.map(({ name }) => shop.rule[name]));
  for (const [name, input] of Object.entries(sliders)) {
    const start = shop.rule[name];
    [input.min, input.max, input.step] =
      name === "filter"
        ? [Math.min(5, start), Math.max(200, start), stepFor(start, 5, 1)]
        : [0, Math.max(4, Math.ceil(2 * largest)), stepFor(start, 0.1, 0.01)];
    input.value = start;
    input.defaultValue = input.value;
  }
  byId("rule").inert = false;
}

/** Write the value of each slider next to it; for a weight also its share of all weights. */
function writeSliderValues() {
  const sum = WEIGHTS.reduce((total, { name }) => total + sliders[name].valueAsNumber, 0);
  for (const [name, input] of Object.entries(sliders)) {
    const value = input.valueAsNumber;
    const share = sum ? Math.round((100 * value) / sum) : 0;
    const text = name === "filter" ? String(value) : `${+value.toFixed(2)} · ${share} %`;
    input.previousElementSibling.textContent = text;
    input.setAttribute("aria-valuetext", text);
    input.style.setProperty("--at", `${(100 * (value - input.min)) / (input.max - input.min)}%`);
  }
  byId("reset").disabled = !Object.keys(changedSettings()).length;
}

/** Return the settings that differ from the default, as parameters of the page's URL. */
function changedSettings() {
  const settings = {};
  for (const [name, { value, defaultValue }] of Object.entries(sliders)) {
    if (value !== defaultValue) settings[name] = value;
  }
  if (byId("level").value) settings.price_level = byId("level").value;
  if (byId("other-brands").checked) settings.other_brands = "1";
  if (byId("in-stock").checked) settings.in_stock = "1";
  return settings;
}

function applySettings(params) {
  for (const [name, input] of Object.entries(sliders)) {
    const isNumber = params[name] && Number.isFinite(Number(params[name]));
    input.value = isNumber ? params[name] : input.defaultValue;
  }
  select(byId("level"), params.price_level ?? "");
  byId("other-brands").checked = params.other_brands !== undefined;
  byId("in-stock").checked = params.in_stock !== undefined;
  writeSliderValues();
}

/** Put the settings into the URL, for reload and links. */
function saveSettings() {
  clearTimeout(saving);
  const { product, photo } = urlParams();
  if (!shop || (product === undefined && photo === undefined)) return;
  history.replaceState(history.state, "", pageUrl({ product, photo, ...changedSettings() }));
  shownSearch = location.search;
}

/** Request the recommendations again after a pause, and put the settings into the URL later. */
function scheduleRefresh() {
  if (current.photo) {
    clearTimeout(refreshing);
    refreshing = 0;
  }
  refreshing ||= setTimeout(
    () => {
      refreshing = 0;
      loadRecommendations().catch((problem) => {
        if (problem.name === "AbortError") return;
        if (!(problem instanceof Problem)) throw problem;
        showProblem(problem, scheduleRefresh);
      });
    },
    current.photo ? PHOTO_PAUSE_MS : SLIDER_PAUSE_MS,
  );
  clearTimeout(saving);
  saving = setTimeout(saveSettings, URL_PAUSE_MS);
}

function updateRule() {
  writeSliderValues();
  scheduleRefresh();
}

byId("rule").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["level", "other-brands", "in-stock", "photo-label"]) {
  byId(id).addEventListener("change", updateRule);
}
byId("photo-price").addEventListener("input", updateRule);
byId("reset").addEventListener("click", () => {
  applySettings({});
  scheduleRefresh();
  sliders.visual_weight.focus();
});

// ---------------------------------------------------------------------------------------------------- similar products

let current = {}; // the query whose similar products are shown: {id, brand} or {photo}
let photo = null; // {blob, name, url}, only in the memory of this window

async function showProduct({ product: id, ...params }) {
  const list = byId("recommendations");
  const heading = byId("name");
  byId("q").value = "";
  if (current.id !== id || !list.querySelector("[data-id]")) showPlaceholders(list, TOP, true);
  current = { id };
  byId("similar").classList.remove("start");
  byId("answer").hidden = false;
  byId("no-similar").hidden = byId("drop").hidden = byId("about").hidden = true;
  showQueryImage(imageUrl(id), "");
  if (shop && knownProducts.has(id)) writeFacts(knownProducts.get(id));
  else clearFacts("kind", "name", "cost", "details");
  showSection("similar");
  try {
    const ready = loadShop().then(() => applySettings(params));
    const [facts] = await Promise.all([fetchJson(productUrl(id), { signal: replaceRequest("facts") }), ready]);
    writeFacts(facts);
    await loadRecommendations();
  } catch (problem) {
    if (problem.name !== "AbortError") {
      if (!heading.textContent) heading.textContent = "Product not found";
      byId("answer").hidden = problem.status === 404;
      clearRecommendations();
    }
    throw problem;
  }
  return heading;
}

function showQueryImage(url, description) {
  byId("picture").src = url;
  byId("picture").alt = description;
  byId("query-image").hidden = false;
  byId("query-image").classList.remove("none");
}

function clearFacts(...ids) {
  for (const id of ids) byId(id).replaceChildren();
}

function clearRecommendations() {
  clear(byId("recommendations"));
  byId("similar-heading").textContent = "";
}

const MOST_VARIANTS = 20;

function describeVariants(variants) {
  const lines = variants.slice(0, MOST_VARIANTS).map(describeVariant);
  return [...lines, ...(variants.length > MOST_VARIANTS ? [`and ${variants.length - MOST_VARIANTS} more`] : [])].join("\n");
}

function describeVariant({ id, options, price, in_stock: inStock }) {
  const facts = [options ?? id, price === null ? "" : formatPrice(price), inStock === false ? "sold out" : ""];
  return facts.filter(Boolean).join(", ");
}

function writeFacts(facts) {
  const { name, brand, label, category_path: path, variants = [], attributes = [] } = facts;
  current = { id: facts.product_id, brand };
  const title = name ?? facts.product_id;
  setTitle(title);
  byId("name").textContent = title;
  byId("picture").alt = title;
  byId("kind").replaceChildren(...(label ? [Object.assign(element("a", label), { href: pageUrl({ label }) })] : []));
  writeCost(byId("cost"), facts);
  const details = [
    ...Object.entries({ Brand: brand, Category: path?.join(" › "), Id: facts.product_id }),
    ...attributes.map(({ name: term, value }) => [term, value]),
    ["Variants", describeVariants(variants)],
  ];
  byId("details").replaceChildren(
    ...details
      .filter(([, value]) => value)
      .map(([term, value]) => element("div", element("dt", term), element("dd", value))),
  );
  byId("brands").hidden = !brand;
  byId("brands").querySelector("span").textContent = brand ? `Not from ${brand}` : "";
}

async function showPhoto(params) {
  const heading = byId("name");
  const isStart = photo === null;
  byId("q").value = "";
  byId("similar").classList.toggle("start", isStart);
  byId("query-image").hidden = byId("about").hidden = isStart;
  byId("drop").hidden = byId("answer").hidden = false;
  byId("brands").hidden = byId("no-similar").hidden = true;
  clearFacts("kind", "cost", "details");
  heading.textContent = isStart ? "Find products by photo" : "Your photo";
  byId("drop").querySelector("strong").textContent = isStart ? "Choose a photo" : "Choose another photo";
  setTitle(heading.textContent);
  if (isStart) {
    byId("cost").textContent = "Finds products with a similar look and similar colours. JPEG, PNG or WebP.";
  } else {
    showQueryImage(photo.url, `Your photo, ${photo.name}`);
    if (current.photo !== photo) showPlaceholders(byId("recommendations"), TOP, true);
  }
  current = { photo };
  showSection("similar");
  await loadShop();
  byId("photo-price").placeholder = shop.currency;
  applySettings(params);
  if (isStart) return heading;
  try {
    await loadRecommendations();
  } catch (problem) {
    if (problem.name !== "AbortError") clearRecommendations();
    throw problem;
  }
  return heading;
}

/** Request the recommendations for the current query by the rule of the sliders, and show them. */
async function loadRecommendations() {
  if (current.photo === null) return;
  const list = byId("recommendations");
  const signal = replaceRequest("recommendations");
  list.setAttribute("aria-busy", "true");
  try {
    const similar = await (current.photo ? fetchForPhoto(signal) : fetchForProduct(signal));
    clearProblem();
    drawRecommendations(similar);
  } finally {
    if (!signal.aborted) list.removeAttribute("aria-busy");
  }
}

/** Return the parameters of the service for the sliders and the filters. */
function ruleParams() {
  const rule = Object.fromEntries(SLIDERS.map(({ name }) => [name, sliders[name].value]));
  const params = { top: Math.min(TOP, rule.filter), ...rule, price_level: byId("level").value };
  if (current.brand && byId("other-brands").checked) params.brand_not = current.brand;
  if (byId("in-stock").checked) params.in_stock = "true";
  return params;
}

function fetchForProduct(signal) {
  return fetchJson(`${productUrl(current.id)}/similar${queryString(ruleParams())}`, { signal });
}

function fetchForPhoto(signal) {
  const price = byId("photo-price");
  const about = { label: byId("photo-label").value, price: price.validity.valid ? price.value : "" };
  const { blob } = current.photo;
  return fetchJson(`/similar${queryString({ ...ruleParams(), ...about })}`, {
    method: "POST",
    body: blob,
    headers: { "Content-Type": blob.type },
    signal,
  });
}

function drawRecommendations({ query, recommendations: items }) {
  const list = byId("recommendations");
  const oldTiles = new Map(Array.from(list.querySelectorAll("[data-id]"), (tile) => [tile.dataset.id, tile]));
  const settings = changedSettings();
  const queryHasLevel = Number.isInteger(query.price_level);
  if (current.photo) writePhotoCost(query);
  const tiles = items.map((item) => {
    const id = item.product_id;
    const tile = fillTile(oldTiles.get(id) ?? newTile(), item, pageUrl({ product: id, ...settings }));
    fillScores(tile, item, queryHasLevel);
    return tile;
  });
  arrange(list, tiles);
  const text = formatCount(items.length, "similar product");
  byId("similar-heading").textContent = text;
  announce(items.length ? `${text}, first ${items[0].name ?? items[0].product_id}` : text);
  byId("no-similar").hidden = items.length > 0;
  byId("no-similar").textContent = "No similar product passes the filters. Try more candidates or fewer filters.";
}

function writePhotoCost({ price, price_level }) {
  if (price === null || price === undefined) clearFacts("cost");
  else writeCost(byId("cost"), { price, price_level });
}

// ---------------------------------------------------------------------------------------------------- photo

/** Return a file as an image for upload: scaled down, upright, on white. */
async function prepareUpload(file) {
  if (file.size > MAX_FILE_BYTES) throw new Problem(`${file.name} is too large. Choose a file smaller than 100 MB.`);
  if (!file.type.startsWith("image/")) {
    throw new Problem(`${file.name} is not an image. Choose a JPEG, PNG or WebP file.`);
  }
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Problem(`${file.name} cannot be read as an image. Save it as JPEG, PNG or WebP and try again.`);
  });
  const scale = Math.min(1, MAX_UPLOAD_SIDE / Math.max(bitmap.width, bitmap.height));
  const isSmall = scale === 1 && file.size <= MAX_UNCHANGED_BYTES && /^image\/(jpeg|png|webp)$/.test(file.type);
  return isSmall ? file : encodeJpeg(bitmap, scale);
}

function encodeJpeg(bitmap, scale) {
  const canvas = element("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

/** Show the similar products of the first file that was chosen, dropped or pasted. */
async function usePhoto([file]) {
  if (!file) return;
  try {
    const blob = await prepareUpload(file);
    if (photo) URL.revokeObjectURL(photo.url);
    photo = { blob, name: file.name, url: URL.createObjectURL(blob) };
    byId("photo-label").value = byId("photo-price").value = "";
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (urlParams().photo === undefined) await navigate("/?photo=1");
    return showProblem(problem);
  } finally {
    byId("file").value = "";
  }
  await navigate(urlParams().photo === undefined ? "/?photo=1" : location.pathname + location.search);
}

const hasFiles = (transfer) => transfer !== null && Array.from(transfer.types).includes("Files");

byId("file").addEventListener("change", ({ target }) => usePhoto(Array.from(target.files)));
document.addEventListener("paste", (event) => {
  if (!event.clipboardData.files.length) return;
  event.preventDefault();
  usePhoto(Array.from(event.clipboardData.files));
});
document.addEventListener("dragover", (event) => {
  if (!hasFiles(event.dataTransfer)) return;
  event.preventDefault();
  document.body.classList.add("drop-target");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("drop-target");
});
document.addEventListener("drop", (event) => {
  if (!hasFiles(event.dataTransfer)) return;
  event.preventDefault();
  document.body.classList.remove("drop-target");
  usePhoto(Array.from(event.dataTransfer.files));
});

// ---------------------------------------------------------------------------------------------------- start

function setIcon() {
  const icon = Object.assign(element("link"), { rel: "icon", type: "image/svg+xml" });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">
    <rect x="2" y="3" width="20" height="4.5" rx="1.5" fill="#1f5a5a"/>
    <rect x="2" y="9.75" width="14" height="4.5" rx="1.5" fill="#c2573a"/>
    <rect x="2" y="16.5" width="8" height="4.5" rx="1.5" fill="#c49a3a"/>
  </svg>`;
  icon.href = URL.createObjectURL(new Blob([svg], { type: icon.type }));
  document.head.append(icon);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const isPlain = !event.button && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !isPlain || link.origin !== location.origin || link.pathname !== "/" || link.hash) return;
  event.preventDefault();
  navigate(link.pathname + link.search);
});

addEventListener("popstate", () => {
  if (location.search === shownSearch) return; // only the fragment changed, by the skip link
  scrollPositions.set(historyKey, scrollY);
  historyKey = newHistoryKey();
  render({ back: true });
});

setIcon();
createSliders();
history.scrollRestoration = "manual";
render({ keepFocus: true });
