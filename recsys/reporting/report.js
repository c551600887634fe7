// Filter and order of the recommendations. Without this script, all are shown in the order of their labels.
(() => {
  const grids = [...document.querySelectorAll("#grids > article")];
  const label = document.getElementById("choose-label");
  const order = document.getElementById("choose-order");
  for (const name of new Set(grids.map((grid) => grid.dataset.label))) label.add(new Option(name, "=" + name));

  const show = () => {
    for (const grid of grids) grid.hidden = label.value !== "" && label.value !== "=" + grid.dataset.label;
    const direction = Number(order.value);
    const sorted = [...grids].sort((a, b) => direction * (a.dataset.total - b.dataset.total));
    document.getElementById("grids").append(...sorted);
  };
  label.addEventListener("change", show);
  order.addEventListener("change", show);
  const form = document.getElementById("choose");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
})();
