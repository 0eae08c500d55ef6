// A longer clip in time: windows as strips of heat, events as a list, and what is heard where.
import { byId, make } from "./elements.js";
import { drawStrip } from "./plot.js";
import { clock, nameOf, percent } from "./words.js";

const MOST_LANES = 5;
const WORTH_A_LANE = 0.25;
const DOUBTFUL = 0.5; // below it, the service makes no event of it either
const SILENCE = "silence";

/** The windows and events of an answer; `onSeek(seconds)` is told where someone wants to go. */
export class Timeline {
  #windows = [];
  #lanes = [];
  #events = [];
  #current = null;

  constructor(onSeek) {
    this.onSeek = onSeek;
    byId("windows-part").addEventListener("toggle", () => this.#fillTable());
  }

  /** Show an answer's; a clip of one window has nothing to show in time. */
  show({ windows = [], events = [] }, seconds) {
    this.#windows = windows.length > 1 ? windows : [];
    this.#current = null;
    this.#showLanes(seconds);
    this.#showEvents(this.#windows.length ? events : []);
    byId("windows-part").hidden = !this.#windows.length;
    byId("windows-part").open = false;
    byId("windows").replaceChildren();
  }

  /** Draw the lanes, in the size that they have now. */
  draw() {
    for (const { canvas, cells } of this.#lanes) drawStrip(canvas, cells);
  }

  /** What the window around a place holds, in words; nothing for a clip of one window. */
  describe(seconds) {
    const window = this.#windowAt(seconds);
    if (!window) return "";
    const label = labelOf(window);
    if (label === SILENCE) return nameOf(label);
    const probability = window.probabilities[label];
    return `${nameOf(label)}${probability < DOUBTFUL ? "?" : ""} ${percent(probability)}`;
  }

  /** Mark what is heard at a place. */
  move(seconds) {
    byId("now").textContent = this.describe(seconds);
    const current = this.#events.find(({ event }) => within(event, seconds)) ?? null;
    if (current === this.#current) return;
    this.#current?.button.removeAttribute("aria-current");
    current?.button.setAttribute("aria-current", "true");
    this.#current = current;
  }

  /** The window that a place belongs to. */
  #windowAt(seconds) {
    const i = bordersOf(this.#windows).slice(1).findIndex((border) => seconds < border);
    return this.#windows.at(i); // the last one holds its end, too
  }

  #showLanes(seconds) {
    this.#lanes = lanesOf(this.#windows).map((label) => {
      const heats = this.#windows.map((window) => heatOf(window, label));
      const highest = heats.indexOf(Math.max(...heats));
      const canvas = make("canvas", {
        role: "img",
        "aria-label":
          `${nameOf(label)} in ${heats.length} windows: at most ${percent(heats[highest])}, ` +
          `at ${clock(this.#windows[highest].start_seconds)}`,
      });
      return { label, canvas, cells: cellsOf(this.#windows, heats, seconds) };
    });
    byId("lanes").replaceChildren(
      ...this.#lanes.map(({ label, canvas }) =>
        make("div", { className: "lane heat" }, make("span", { className: "lane-name" }, nameOf(label)), canvas),
      ),
    );
  }

  #showEvents(events) {
    this.#events = events.map((event) => ({ event, button: eventButton(event) }));
    for (const { event, button } of this.#events) {
      button.addEventListener("click", () => this.onSeek(event.start_seconds));
    }
    byId("events").replaceChildren(...this.#events.map(({ button }) => make("li", {}, button)));
    byId("events-part").hidden = !events.length;
  }

  #fillTable() {
    if (!byId("windows-part").open) return;
    byId("windows").replaceChildren(
      ...this.#windows.map((window) => {
        const label = labelOf(window);
        const cells = [
          clock(window.start_seconds, true),
          clock(window.end_seconds, true),
          nameOf(label),
          label === SILENCE ? "" : percent(window.probabilities[label]),
        ];
        return make("tr", {}, ...cells.map((text) => make("td", {}, text)));
      }),
    );
  }
}

function labelOf(window) {
  return window.silence ? SILENCE : window.label;
}

function heatOf(window, label) {
  if (window.silence || label === SILENCE) return Number(window.silence && label === SILENCE);
  return window.probabilities[label] ?? 0;
}

function within({ start_seconds: start, end_seconds: end }, seconds) {
  return start <= seconds && seconds < end;
}

/** The labels that have most heat, in the order in which they are heard. */
function lanesOf(windows) {
  if (!windows.length) return [];
  return [SILENCE, ...Object.keys(windows[0].probabilities)]
    .map((label) => {
      const heats = windows.map((window) => heatOf(window, label));
      const most = Math.max(...heats);
      return { label, most, sum: heats.reduce((sum, heat) => sum + heat), at: heats.indexOf(most) };
    })
    .filter(({ most }) => most >= WORTH_A_LANE)
    .sort((one, other) => other.sum - one.sum)
    .slice(0, MOST_LANES)
    .sort((one, other) => one.at - other.at)
    .map(({ label }) => label);
}

/** Where each window begins to be the one that counts, and the end: amid what two of them share. */
function bordersOf(windows) {
  if (!windows.length) return [];
  const between = windows
    .slice(1)
    .map((window, i) => (windows[i].end_seconds + window.start_seconds) / 2);
  return [windows[0].start_seconds, ...between, windows.at(-1).end_seconds];
}

/** What is drawn of each window, as parts of the whole clip. */
function cellsOf(windows, heats, seconds) {
  const borders = bordersOf(windows).map((border) => Math.min(border, seconds) / seconds);
  return heats.map((heat, i) => ({ start: borders[i], end: borders[i + 1], heat }));
}

function eventButton(event) {
  const times = `${clock(event.start_seconds, true)} to ${clock(event.end_seconds, true)}`;
  return make(
    "button",
    { type: "button", className: "event" },
    make("span", { className: "event-name" }, nameOf(event.label)),
    make("span", { className: "event-times" }, times),
    make("span", { className: "event-probability" }, percent(event.probability)),
  );
}
