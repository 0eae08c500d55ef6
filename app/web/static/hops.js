// How closely a longer clip is looked at: seconds from one window's start to the next.
import { byId, make } from "./elements.js";

const PARTS = [1, 2, 4]; // of a window

/** The choice; `onChange()` is told when someone makes another one. */
export class HopChoice {
  constructor(onChange) {
    byId("hop").addEventListener("change", onChange);
  }

  /** Seconds, or null: as the service has it by default. */
  get seconds() {
    return Number(byId("hop").value) || null;
  }

  /** Forget what was chosen for the sound before. */
  reset() {
    byId("hop").replaceChildren();
  }

  /** Offer what makes sense for an answer; keeps what is chosen. */
  offer({ windows = [] }) {
    byId("finer").hidden = windows.length < 2;
    if (windows.length < 2 || byId("hop").options.length) return;
    const [first] = windows;
    const seconds = first.end_seconds - first.start_seconds;
    const options = PARTS.map((part) => {
      const hop = seconds / part;
      return make("option", { value: part === 1 ? "" : String(hop) }, hop === 1 ? "second" : `${hop} seconds`);
    });
    byId("hop").replaceChildren(...options);
  }
}
