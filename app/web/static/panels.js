// Which part of the page shows: work in progress, a problem, or a result; and what is read aloud.
import { byId, showText } from "./elements.js";

const NEEDS_KEY = new Set(["missing_key", "unknown_key", "forbidden"]);

/** Have screen readers say something. */
export function announce(text) {
  byId("announcement").textContent = text;
}

/** Say that something is being done; `keepResult` where the last one is still of interest. */
export function showWorking(text, keepResult = false) {
  byId("working-text").textContent = text;
  byId("result").setAttribute("aria-busy", "true");
  show("working", keepResult);
  announce(text);
}

/** Show the result. */
export function showResult() {
  byId("result").removeAttribute("aria-busy");
  show("result");
  revealIfBelow(byId("result"));
}

/** Nothing is being done: show the result if there is one. */
export function showRest(hasResult) {
  byId("result").removeAttribute("aria-busy");
  show(hasResult ? "result" : "empty");
}

/** Show what went wrong, and `again` as a way out if that may help. */
export function showProblem(problem, again) {
  const needsKey = NEEDS_KEY.has(problem.code);
  byId("problem-title").textContent = needsKey && problem.code === "missing_key" ? "A key is needed" : problem.title;
  byId("problem-detail").textContent = problem.detail;
  byId("key-form").hidden = !needsKey;
  byId("again").hidden = needsKey || !(again && mayHelp(problem));
  showText(byId("problem-request"), problem.requestId && `Request ${problem.requestId}`);
  show("problem");
  if (needsKey) byId("key").focus();
  announce(`${problem.title}. ${problem.detail}`);
  revealIfBelow(byId("problem"));
}

function mayHelp({ status, code }) {
  return status >= 500 || [0, 408, 429].includes(status) && code !== "microphone";
}

function show(state, keepResult = false) {
  document.documentElement.dataset.state = state;
  byId("working").hidden = state !== "working";
  byId("problem").hidden = state !== "problem";
  byId("result").hidden = state !== "result" && !(keepResult && state === "working");
}

function revealIfBelow(element) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (element.getBoundingClientRect().top > innerHeight * 0.6) {
    element.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
  }
}
