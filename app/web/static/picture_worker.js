// Computes what is drawn of a sound, beside the page, so that the page answers meanwhile.
import { envelope, melSpectrogram } from "./mel.js";

addEventListener("message", ({ data: { samples, rateHz, columns, bands } }) => {
  postMessage({
    columns,
    bands,
    extremes: envelope(samples, columns),
    mel: melSpectrogram(samples, rateHz, columns, bands),
  });
});
