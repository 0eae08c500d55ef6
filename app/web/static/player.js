// Hearing the sound, and where in it one is: the button, the clock, and the slider over the plot.
import { byId } from "./elements.js";
import { clock } from "./words.js";

const JUMPS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };

/** Plays one sound at a time; tells `onMove(seconds)` where it is. */
export class Player {
  #audio = byId("audio");
  #button = byId("play");
  #slider = byId("seek");
  #url = "";
  #seconds = 0;
  #position = 0;

  constructor(onMove) {
    this.onMove = onMove;
    this.describe = () => "";
    this.#button.addEventListener("click", () => this.toggle());
    for (const event of ["play", "pause", "ended"]) {
      this.#audio.addEventListener(event, () => this.#showState());
    }
    this.#audio.addEventListener("error", () => this.#setPlayable(false));
    this.#slider.addEventListener("keydown", (event) => this.#onKey(event));
    this.#slider.addEventListener("pointerdown", (event) => this.#onPointer(event));
    this.#slider.addEventListener("pointermove", (event) => {
      if (this.#slider.hasPointerCapture(event.pointerId)) this.seek(this.#secondsAt(event));
    });
  }

  /** Take a Blob that is so many seconds long. */
  load(blob, seconds) {
    URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(blob);
    this.#audio.src = this.#url;
    this.#setPlayable(true);
    this.setLength(seconds);
    this.seek(0);
  }

  /** Say how long the sound is. */
  setLength(seconds) {
    this.#seconds = seconds;
    this.#slider.setAttribute("aria-valuemax", seconds.toFixed(1));
    this.#show();
  }

  get playing() {
    return !this.#audio.paused;
  }

  toggle() {
    if (this.#button.disabled) return;
    if (this.playing) this.#audio.pause();
    else this.play();
  }

  play() {
    if (this.#position >= this.#seconds - 0.05) this.seek(0);
    this.#audio.play().catch(() => this.#setPlayable(false));
  }

  pause() {
    this.#audio.pause();
  }

  seek(seconds) {
    this.#position = Math.max(0, Math.min(this.#seconds, seconds));
    this.#audio.currentTime = this.#position;
    this.#show();
  }

  #setPlayable(playable) {
    this.#button.disabled = !playable;
    this.#button.title = playable ? "" : "This browser cannot play the file";
    this.#showState();
  }

  #showState() {
    this.#button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.#button.classList.toggle("playing", this.playing);
    if (this.playing) requestAnimationFrame(() => this.#follow());
  }

  #follow() {
    if (this.#audio.src !== this.#url) return;
    this.#position = Math.min(this.#audio.currentTime, this.#seconds);
    this.#show();
    if (this.playing) requestAnimationFrame(() => this.#follow());
  }

  #show() {
    const part = this.#seconds ? this.#position / this.#seconds : 0;
    byId("plot").style.setProperty("--position", String(part));
    byId("clock").textContent = `${clock(this.#position, true)} / ${clock(this.#seconds, true)}`;
    this.onMove(this.#position);
    this.#slider.setAttribute("aria-valuenow", this.#position.toFixed(1));
    const what = this.describe(this.#position);
    const where = `${clock(this.#position, true)} of ${clock(this.#seconds, true)}`;
    this.#slider.setAttribute("aria-valuetext", what ? `${where}, ${what}` : where);
  }

  #onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = Math.max(0.5, this.#seconds / 100);
    if (event.key in JUMPS) this.seek(this.#position + JUMPS[event.key] * step);
    else if (event.key === "Home") this.seek(0);
    else if (event.key === "End") this.seek(this.#seconds);
    else if (event.key === " " || event.key === "Enter") this.toggle();
    else return;
    event.preventDefault();
  }

  #onPointer(event) {
    if (event.button !== 0) return;
    this.#slider.setPointerCapture(event.pointerId);
    this.seek(this.#secondsAt(event));
  }

  #secondsAt(event) {
    const box = this.#slider.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * this.#seconds;
  }
}
