// Show readable times in elements <time datetime data-show="ago | seconds | local">.

const STEPS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];

const SKEW = 120; // seconds by which a clock may be ahead

function ago(seconds) {
  if (-SKEW < seconds && seconds < 1) return "now";
  const [, unit, name] = STEPS.find(([limit]) => Math.abs(seconds) < limit);
  const count = Math.floor(Math.abs(seconds) / unit).toLocaleString("en");
  return seconds < 0 ? `in ${count} ${name}` : `${count} ${name} ago`;
}

const SHOW = {
  ago: (time, seconds) => ago(seconds),
  seconds: (time, seconds) => seconds.toFixed(0),
  local: (time) => time.toLocaleString(undefined, {
    dateStyle: "medium", timeStyle: "long",
  }),
};

export function showTimes(root = document) {
  for (const element of root.querySelectorAll("time[data-show]")) {
    const time = new Date(element.dateTime);
    const text = SHOW[element.dataset.show](time, (Date.now() - time) / 1000);
    if (element.textContent !== text) element.textContent = text;
    if (!element.title) element.title = time.toLocaleString();
  }
}

showTimes();
setInterval(showTimes, 1000);
