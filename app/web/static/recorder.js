// The microphone, from asking for it to a WAV.
import { decode } from "./decode.js";
import { Problem } from "./service.js";
import { encodeWav } from "./wav.js";

export const MAX_SECONDS = 60;
const RATE_HZ = 44_100;
// What makes speech clearer takes away what is to be heard here.
const UNTOUCHED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

const REFUSALS = {
  NotAllowedError: [
    "The microphone was refused",
    "Allow it for this page in your browser's settings (by the address bar), and record again. Or choose a file.",
  ],
  NotFoundError: ["There is no microphone", "Connect one and record again, or choose a file."],
  NotReadableError: [
    "The microphone is in use",
    "Another program holds it. Close that one and record again, or choose a file.",
  ],
};
const INSECURE = [
  "This page may not record",
  "Browsers give the microphone only to pages by HTTPS, or on localhost. Open the page so, or choose a file.",
];

/** A recording that has begun. */
export class Recording {
  #recorder;
  #stream;
  #analyser;
  #context;
  #parts = [];

  /** Ask for the microphone and begin; rejects with a Problem where there is none. */
  static async begin() {
    if (!navigator.mediaDevices || !window.MediaRecorder) throw microphoneProblem(INSECURE);
    try {
      return new Recording(await navigator.mediaDevices.getUserMedia({ audio: UNTOUCHED }));
    } catch (error) {
      throw microphoneProblem(REFUSALS[error.name] ?? ["The microphone failed", `${error.message}.`]);
    }
  }

  constructor(stream) {
    this.#stream = stream;
    this.#recorder = new MediaRecorder(stream);
    this.#recorder.addEventListener("dataavailable", ({ data }) => this.#parts.push(data));
    this.#recorder.start();
    this.startedAt = performance.now();
    this.#context = new AudioContext();
    this.#analyser = new AnalyserNode(this.#context, { fftSize: 1024 });
    this.#context.createMediaStreamSource(stream).connect(this.#analyser);
  }

  /** Seconds since it began. */
  get seconds() {
    return (performance.now() - this.startedAt) / 1000;
  }

  /** How loud it is now: 0 (60 dB below full scale, or less) to 1. */
  get level() {
    const samples = new Float32Array(this.#analyser.fftSize);
    this.#analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    return Math.max(0, Math.min(1, 1 + (10 * Math.log10(power + 1e-12)) / 60));
  }

  /** End it; resolves to a WAV (16-bit, mono) as a Blob. */
  async end() {
    const ended = new Promise((resolve) => this.#recorder.addEventListener("stop", resolve));
    this.#recorder.stop();
    await ended;
    this.#release();
    const sound = await decode(new Blob(this.#parts), RATE_HZ);
    if (!sound?.samples.length) {
      throw microphoneProblem(["The recording is empty", "Nothing was recorded. Record again, for a second or more."]);
    }
    return encodeWav(sound.samples, RATE_HZ);
  }

  /** End it and forget it. */
  discard() {
    this.#recorder.stop();
    this.#release();
  }

  #release() {
    for (const track of this.#stream.getTracks()) track.stop();
    this.#context.close();
  }
}

function microphoneProblem([title, detail]) {
  return new Problem({ code: "microphone", title, detail });
}
