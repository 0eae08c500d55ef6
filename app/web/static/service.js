// Asking the service: relative to the page, which may live below a prefix.

const KEY = "hark-api-key";
const NOT_PROBLEMS = "The service, or something on the way to it, answered with";
let keyInMemory = "";

/** What went wrong, with what the service says about it. */
export class Problem extends Error {
  constructor({ status = 0, code, title, detail, requestId = "", retrySeconds = null }) {
    super(detail);
    Object.assign(this, { status, code, title, detail, requestId, retrySeconds });
  }

  /** Whether the same request may do better in a while. */
  get passes() {
    return this.retrySeconds !== null && [429, 503].includes(this.status);
  }
}

/** The API key that was entered in this tab. */
export function apiKey() {
  try {
    return sessionStorage.getItem(KEY) ?? keyInMemory;
  } catch {
    return keyInMemory; // storage is switched off
  }
}

/** Use an API key from now on, in this tab alone. */
export function useApiKey(key) {
  keyInMemory = key;
  try {
    sessionStorage.setItem(KEY, key);
  } catch {
    // It is kept in memory.
  }
}

/** Where a sound is classified, relative to the page. */
export function classifyPath({ name, version, hopSeconds }) {
  const options = new URLSearchParams({ windows: "true" });
  if (hopSeconds) options.set("hop_seconds", String(hopSeconds));
  const model = `v1/models/${encodeURIComponent(name)}/versions/${encodeURIComponent(version)}`;
  return `${model}/classify?${options}`;
}

/** Classify a Blob that has a name; resolves to the service's answer. */
export async function classify(sound, choice, signal) {
  const body = new FormData();
  body.append("file", sound.blob, sound.name);
  return (await ask(classifyPath(choice), { method: "POST", body, signal })).json();
}

/** The models that serve. */
export async function listModels() {
  return (await (await ask("v1/models")).json()).models;
}

/** What a model says of itself. */
export async function describeModel(name) {
  return (await ask(`v1/models/${encodeURIComponent(name)}`)).json();
}

/** The names of the samples. */
export async function listSamples() {
  return (await (await ask("samples")).json()).samples;
}

/** Where a sample lies, relative to the page. */
export function samplePath(name) {
  return `samples/${encodeURIComponent(name)}`;
}

/** A sample as a Blob. */
export async function fetchSample(name, signal) {
  return (await ask(samplePath(name), { signal })).blob();
}

async function ask(path, options = {}) {
  const headers = apiKey() ? { Authorization: `Bearer ${apiKey()}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({
      code: "unreachable",
      title: "Hark cannot be reached",
      detail: "The request did not get through. See whether you are online, and try again.",
    });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const said = await response.json().catch(() => ({}));
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return new Problem({
    status: response.status,
    code: said.code ?? "unknown",
    title: said.title ?? "That did not work",
    detail: said.detail ?? `${NOT_PROBLEMS} ${response.status}. Try again in a while.`,
    requestId: said.request_id ?? response.headers.get("X-Request-ID") ?? "",
    retrySeconds: Number.isNaN(seconds) ? null : seconds,
  });
}
