// Keeps an order's page up to date: at each event of its stream the page is fetched again, and its part that
// changes takes the place of the old one. The server alone makes HTML; nothing is built from what events hold.
"use strict";

const SETTLE_MS = 250;

function openDetails(root) {
  return new Set([...root.querySelectorAll("details[open]")].map((one) => one.id));
}

async function refresh(say) {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.redirected || !answer.ok) {
    return false;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
  const shown = document.getElementById("live");
  if (shown && [...shown.querySelectorAll("textarea")].some((one) => one.value)) {
    say("There is news, which will be shown once you have sent what you write, or loaded the page again.");
    return true;
  }
  if (fresh && shown) {
    const open = openDetails(shown);
    for (const one of fresh.querySelectorAll("details")) {
      one.open = open.has(one.id);
    }
    shown.replaceWith(document.adoptNode(fresh));
    say("Live. Last change shown at " + new Date().toISOString().slice(11, 19) + " UTC.");
  }
  return true;
}

function follow(address) {
  const status = document.getElementById("live-status");
  const say = (text) => { status.textContent = text; };
  const source = new EventSource(address);
  let timer = null;
  source.onopen = () => say("Live.");
  source.onerror = () => say("Not live now; the page shows what was known when it was loaded.");
  source.onmessage = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      if (!(await refresh(say).catch(() => true))) {
        source.close();
        say("Not live any more: sign in again.");
      }
    }, SETTLE_MS);
  };
}

const live = document.getElementById("live");
if (live) {
  follow(live.dataset.stream);
}
