// The curl command, and how to take it along.
import { curlFor } from "./curl.js";
import { byId } from "./elements.js";
import { announce } from "./panels.js";

const SAID_SECONDS = 2;

/** Shows the command for one sound at a time. */
export class CommandView {
  #url = "";

  constructor() {
    byId("copy").addEventListener("click", () => this.#copy());
  }

  /** Show the command that asks the same as the page; recordings can be saved, so that it finds them. */
  show(sound, choice) {
    byId("curl").textContent = curlFor(sound, choice);
    const save = byId("save");
    save.hidden = !sound.recorded;
    URL.revokeObjectURL(this.#url);
    if (!sound.recorded) return;
    this.#url = URL.createObjectURL(sound.blob);
    Object.assign(save, { href: this.#url, download: sound.name });
  }

  async #copy() {
    const copied = await write(byId("curl"));
    byId("copy").textContent = copied ? "Copied" : "Select it and copy";
    announce(byId("copy").textContent);
    setTimeout(() => (byId("copy").textContent = "Copy"), SAID_SECONDS * 1000);
  }
}

/** Put an element's text into the clipboard; pages without HTTPS may do so only by selecting it. */
async function write(element) {
  getSelection().selectAllChildren(element);
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    return document.execCommand("copy");
  }
}
