// Which model and version is asked.
import { byId, make } from "./elements.js";
import { describeModel, listModels } from "./service.js";
import { nameOf } from "./words.js";

/** The choice of model and version; `onChange()` is told when someone makes another one. */
export class ModelChoice {
  #models = [];

  constructor(onChange) {
    byId("model-choice").addEventListener("submit", (event) => event.preventDefault());
    byId("model").addEventListener("change", () => {
      this.#showVersions();
      onChange();
    });
    byId("version").addEventListener("change", onChange);
  }

  /** Whether it is known what there is to choose. */
  get known() {
    return this.#models.length > 0;
  }

  /** What is chosen. */
  get current() {
    return { name: byId("model").value, version: byId("version").value };
  }

  /** Ask the service what there is; rejects with a Problem. */
  async load() {
    this.#models = await listModels();
    const standard = this.#models.find((model) => model.default) ?? this.#models[0];
    fill(byId("model"), this.#models.map(({ name }) => [name, name]), standard.name);
    this.#showVersions();
  }

  #showVersions() {
    const model = this.#models.find(({ name }) => name === byId("model").value);
    const versions = [...model.versions].reverse().map((version) => [
      String(version),
      version === model.version ? `${version} (current)` : String(version),
    ]);
    fill(byId("version"), versions, String(model.version));
    this.#describe(model.name);
  }

  async #describe(name) {
    const about = byId("about-model");
    about.textContent = "";
    try {
      const description = await describeModel(name);
      if (name === byId("model").value) about.textContent = sentenceAbout(description);
    } catch {
      // It is good to know, and not needed: what hinders it will also hinder classifying, and be told.
    }
  }
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  select.value = chosen;
  select.disabled = false;
}

function sentenceAbout({ labels, training, metrics }) {
  const names = labels.map((label) => nameOf(label).toLowerCase());
  const known = names.length > 24 ? `${names.length} sounds` : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  const accuracy = metrics?.accuracy_mean;
  const right = accuracy ? ` In tests it was right for ${Math.round(accuracy * 100)} of 100 clips.` : "";
  const sets = [training, ...(training?.earlier ?? [])].filter((set) => set?.dataset);
  const told = sets.map((set) => `${set.dataset} (${set.licence})`).join(", and before on ");
  const data = told ? ` Trained on ${told}.` : "";
  return `It knows ${known}.${right}${data}`;
}
