// A click on a column's head sorts the table by it, a second click the other way round.
document.addEventListener("click", (event) => {
  const head = event.target.closest("th[data-sort]");
  if (!head) return;
  const column = head.cellIndex;
  const body = head.closest("table").tBodies[0];
  const up = head.dataset.sort === "down";
  head.dataset.sort = up ? "up" : "down";
  const value = (row) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };
  const order = (a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0);
  const rows = [...body.rows].sort((a, b) => (up ? order(a, b) : order(b, a)));
  body.append(...rows);
});
