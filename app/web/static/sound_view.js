// The sound as one sees and hears it: pictures, timeline and player in step.
import { decode } from "./decode.js";
import { byId, make, showText } from "./elements.js";
import { pictureOf } from "./picture.js";
import { Player } from "./player.js";
import { drawSpectrogram, drawWaveform } from "./plot.js";
import { Timeline } from "./timeline.js";
import { clock, duration } from "./words.js";

const RATE_HZ = 22_050; // the models' own: what is above 11 kHz they do not hear either
const STEPS = [0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800]; // seconds between the ruler's ticks
const TICK_PIXELS = 64; // at least
const UNDRAWN = "This browser cannot decode the file, so there is no picture of it. The answer is the service's own.";

/** Shows one sound at a time. */
export class SoundView {
  #picture = null;
  #seconds = 0;
  #player = new Player((seconds) => this.#timeline?.move(seconds));
  #timeline = new Timeline((seconds) => {
    this.#player.seek(seconds);
    this.#player.play();
  });

  constructor() {
    this.#player.describe = (seconds) => this.#timeline.describe(seconds);
    new ResizeObserver(() => this.#draw()).observe(byId("plot"));
    document.addEventListener("themechange", () => this.#draw());
  }

  /** Stop playing. */
  rest() {
    this.#player.pause();
  }

  /** Show a new sound, that an answer is about; its picture follows when it has been computed. */
  async show(sound, answer) {
    this.sound = sound;
    this.#picture = null;
    this.#seconds = answer.duration_seconds;
    this.#player.load(sound.blob, this.#seconds);
    this.#showPictures(true);
    this.showAnswer(answer);
    const decoded = await decode(sound.blob, RATE_HZ);
    const picture = decoded && (await pictureOf(decoded));
    if (this.sound !== sound) return; // another one came meanwhile
    this.#picture = picture;
    this.#showPictures(Boolean(picture));
    this.#draw();
  }

  /** Show another answer about the same sound. */
  showAnswer(answer) {
    this.#timeline.show(answer, this.#seconds);
    this.#player.setLength(this.#seconds);
    this.#draw();
  }

  #showPictures(possible) {
    for (const lane of document.querySelectorAll(".lane.picture")) lane.hidden = !possible;
    showText(byId("undrawn"), possible ? "" : UNDRAWN);
    const long = duration(this.#seconds);
    byId("waveform").setAttribute("aria-label", `Waveform: loudness over ${long}`);
    byId("spectrogram").setAttribute("aria-label", `Mel spectrogram: 0 to 11 kHz over ${long}`);
  }

  #draw() {
    if (byId("plot").clientWidth === 0) return;
    this.#showRuler();
    this.#timeline?.draw();
    if (!this.#picture) return;
    drawWaveform(byId("waveform"), this.#picture);
    drawSpectrogram(byId("spectrogram"), this.#picture);
  }

  #showRuler() {
    const most = Math.max(2, Math.floor(byId("ruler").clientWidth / TICK_PIXELS));
    const step = STEPS.find((seconds) => this.#seconds / seconds <= most) ?? STEPS.at(-1);
    const ticks = [];
    for (let at = 0; at < this.#seconds - step / 4; at += step) {
      const tick = make("span", {}, clock(at, step < 1));
      tick.style.setProperty("--at", String(at / this.#seconds));
      ticks.push(tick);
    }
    byId("ruler").replaceChildren(...ticks);
  }
}
