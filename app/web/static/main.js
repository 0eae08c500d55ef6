// The page: a sound comes in, the service is asked, and what it says is shown.
import { showAnswer } from "./answer.js";
import { CommandView } from "./command_view.js";
import { byId } from "./elements.js";
import { HopChoice } from "./hops.js";
import { ModelChoice } from "./models.js";
import { announce, showProblem, showRest, showResult, showWorking } from "./panels.js";
import { patiently } from "./patience.js";
import { Problem, classify, useApiKey } from "./service.js";
import { SoundView } from "./sound_view.js";
import { offerFiles, offerRecording, offerSamples } from "./sources.js";

const DEFECT = {
  code: "defect",
  title: "The page failed",
  detail: "It did something that it should not. Reload it and try again.",
};

/** What is in hand: the sound, and the request about it. */
class Page {
  #sound = null;
  #request = new AbortController();
  #models = new ModelChoice(() => this.askAgain());
  #hops = new HopChoice(() => this.askAgain());
  #view = new SoundView();
  #command = new CommandView();

  constructor() {
    offerFiles((sound) => this.take(async () => sound));
    offerSamples((load) => this.take(load));
    offerRecording((sound) => this.take(async () => sound), (problem) => showProblem(problem));
    byId("cancel").addEventListener("click", () => this.cancel());
    byId("again").addEventListener("click", () => this.again());
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      useApiKey(byId("key").value.trim());
      byId("key").value = "";
      this.again();
    });
    this.begin();
  }

  /** Ask what models there are, so that one can be chosen before there is a sound. */
  begin() {
    return this.#attempt(() => this.begin(), async () => {
      await this.#knowModels();
      showRest(this.#sound !== null);
    });
  }

  /** Classify the sound that `load(signal)` resolves to. */
  take(load) {
    this.#view.rest();
    return this.#attempt(() => this.take(load), async (signal) => {
      showWorking("Listening…");
      const sound = await load(signal);
      await this.#knowModels();
      this.#hops.reset();
      const answer = await this.#ask(sound, signal);
      this.#sound = sound;
      this.#showAnswer(answer);
      await this.#view.show(sound, answer);
    });
  }

  /** Classify the same sound with what is chosen now. */
  askAgain() {
    if (!this.#sound) return null;
    return this.#attempt(() => this.askAgain(), async (signal) => {
      showWorking("Listening again…", true);
      const answer = await this.#ask(this.#sound, signal);
      this.#showAnswer(answer);
      this.#view.showAnswer(answer);
    });
  }

  cancel() {
    this.#request.abort();
    showRest(this.#sound !== null);
    announce("Cancelled");
  }

  async #ask(sound, signal) {
    return patiently(() => classify(sound, this.#choice, signal), sayWhyOneWaits, signal);
  }

  async #knowModels() {
    if (this.#models.known) return;
    await patiently(() => this.#models.load(), sayWhyOneWaits, this.#request.signal);
  }

  #showAnswer(answer) {
    const text = showAnswer(answer, this.#sound);
    this.#hops.offer(answer);
    this.#command.show(this.#sound, this.#choice);
    showResult();
    announce(text);
  }

  get #choice() {
    return { ...this.#models.current, hopSeconds: this.#hops.seconds };
  }

  /** Do something in place of what is being done; `again` is how to repeat it after a problem. */
  async #attempt(again, action) {
    this.#request.abort();
    this.#request = new AbortController();
    this.again = again;
    const { signal } = this.#request;
    try {
      await action(signal);
    } catch (error) {
      if (signal.aborted) return;
      showProblem(error instanceof Problem ? error : new Problem(DEFECT), again);
      if (!(error instanceof Problem)) throw error; // into the console, for whoever mends it
    }
  }
}

function sayWhyOneWaits(problem, seconds) {
  const when = seconds === 1 ? "a second" : `${seconds} seconds`;
  showWorking(`${problem.title}. Trying again by itself in ${when}…`);
}

new Page();
