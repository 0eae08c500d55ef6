// Where sounds come from: a file, a drop, a sample, the microphone.
import { byId, make } from "./elements.js";
import { MAX_SECONDS, Recording } from "./recorder.js";
import { fetchSample, listSamples } from "./service.js";
import { clock, nameOf } from "./words.js";

/** Offer files to choose and to drop; `onSound({name, blob})` is given each. */
export function offerFiles(onSound) {
  const input = byId("file");
  input.addEventListener("change", () => {
    const [file] = input.files;
    if (file) onSound({ name: file.name, blob: file });
    input.value = ""; // the same file may be chosen again
  });
  const root = document.documentElement;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    root.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) root.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    root.classList.remove("dropping");
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) onSound({ name: file.name, blob: file });
  });
}

/** Offer the samples that the service has, if any; `onSample(load)` is given how to get one. */
export async function offerSamples(onSample) {
  const names = onePerSound(await listSamples().catch(() => []));
  for (const name of names) {
    const button = make("button", { type: "button", className: "chip" }, nameOf(stemOf(name)));
    button.addEventListener("click", () =>
      onSample(async (signal) => ({ name, sample: name, blob: await fetchSample(name, signal) })),
    );
    byId("samples").append(button);
  }
  byId("samples").hidden = names.length === 0;
}

/** Offer the microphone; `onSound` is given what was recorded, `onProblem` why nothing was. */
export function offerRecording(onSound, onProblem) {
  let recording = null;
  const show = () => {
    byId("recording").hidden = !recording;
    byId("record-text").textContent = recording ? "Stop and listen" : "Record";
    byId("record").classList.toggle("on", Boolean(recording));
    if (recording) follow();
  };
  const follow = () => {
    if (!recording) return;
    byId("recorded").textContent = `${clock(recording.seconds)} of ${clock(MAX_SECONDS)}`;
    byId("level").style.setProperty("--part", recording.level.toFixed(3));
    if (recording.seconds >= MAX_SECONDS) end();
    else requestAnimationFrame(follow);
  };
  const end = async () => {
    const ended = recording;
    recording = null;
    show();
    await ended.end().then((blob) => onSound({ name: "recording.wav", recorded: true, blob }), onProblem);
  };
  byId("record").addEventListener("click", async () => {
    if (recording) return end();
    byId("record").disabled = true;
    recording = await Recording.begin().catch((problem) => void onProblem(problem)) ?? null;
    byId("record").disabled = false;
    return show();
  });
  byId("discard").addEventListener("click", () => {
    recording.discard();
    recording = null;
    show();
    byId("record").focus();
  });
}

function stemOf(name) {
  return name.replace(/\.[^.]*$/, "");
}

/** Of a sound that there is in several formats, the smallest: MP3. */
function onePerSound(names) {
  const chosen = new Map();
  for (const name of names) {
    if (!chosen.has(stemOf(name)) || name.endsWith(".mp3")) chosen.set(stemOf(name), name);
  }
  return [...chosen.values()];
}
