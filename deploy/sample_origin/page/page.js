// Fetches each listed asset through the node and shows what its Cache-Status says.
"use strict";

const byId = (id) => document.getElementById(id);

// "no-store" keeps the browser's own cache out of it; the header keeps the browser from asking the node for that too.
const request = { cache: "no-store", headers: { "Cache-Control": "max-age=31536000" } };

async function fetchRow(row) {
  const status = row.querySelector(".status");
  const time = row.querySelector(".time");
  const started = performance.now();
  try {
    const response = await fetch(row.dataset.url, request);
    await response.arrayBuffer();
    const text = response.headers.get("Cache-Status");
    const hit = text !== null && /;\s*hit\b/.test(text);
    status.textContent = text === null ? "no Cache-Status" : text.replace(/^[^;]*;\s*/, "");
    status.className = "status " + (!response.ok ? "failed" : hit ? "hit" : "forwarded");
    const took = performance.now() - started;
    time.textContent = took.toFixed(1) + " ms";
    return { hit, took };
  } catch (error) {
    status.textContent = "failed: " + error.message;
    status.className = "status failed";
    time.textContent = "";
    return null;
  }
}

function protocolName() {
  const last = performance.getEntriesByType("resource").filter((entry) => entry.nextHopProtocol).pop();
  const names = { h2: "HTTP/2", h2c: "HTTP/2", "http/1.1": "HTTP/1.1" };
  return last ? names[last.nextHopProtocol] || last.nextHopProtocol : "–";
}

async function originRequests() {
  const response = await fetch("/origin-requests", { cache: "no-store" });
  return (await response.json()).answered;
}

async function fetchAll() {
  const button = byId("again");
  button.disabled = true;
  performance.clearResourceTimings();
  const results = [];
  // One after the other, so that the times are the node's and not the queue's.
  for (const row of document.querySelectorAll("tr[data-url]")) {
    results.push(await fetchRow(row));
  }
  const fetched = results.filter((result) => result !== null);
  const times = fetched.map((result) => result.took).sort((a, b) => a - b);
  byId("hits").textContent = fetched.filter((result) => result.hit).length;
  byId("median").textContent = times.length ? times[times.length >> 1].toFixed(1) : "–";
  byId("protocol").textContent = protocolName();
  byId("origin").textContent = await originRequests().catch(() => "–");
  button.disabled = false;
}

byId("again").addEventListener("click", fetchAll);
fetchAll();
