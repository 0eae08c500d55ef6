// Having a sound's picture computed.

const COLUMNS = 1000; // as many as a wide plot has pixels, whatever the sound's length
const BANDS = 64;

/** Resolves to {columns, bands, extremes, mel}: see mel.js. Takes the samples' memory. */
export function pictureOf({ samples, rateHz }) {
  const worker = new Worker(new URL("./picture_worker.js", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.addEventListener("message", ({ data }) => resolve(data));
    worker.addEventListener("error", (event) => reject(new Error(event.message)));
    worker.postMessage({ samples, rateHz, columns: COLUMNS, bands: BANDS }, [samples.buffer]);
  }).finally(() => worker.terminate());
}
