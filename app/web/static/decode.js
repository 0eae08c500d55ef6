// A file's bytes as samples, by the browser's own decoders.

const MAX_BYTES = 40e6; // what is larger the service refuses, and drawing it would take memory

/**
 * Decode a Blob and mix it down to mono.
 *
 * Resolves to {samples: Float32Array in [-1, 1], rateHz, seconds}, or to null where the browser
 * cannot decode it: the service may know a format that the browser does not.
 */
export async function decode(blob, rateHz) {
  if (blob.size > MAX_BYTES) return null;
  try {
    const context = new OfflineAudioContext(1, 1, rateHz); // never runs: it decodes and resamples
    const buffer = await context.decodeAudioData(await blob.arrayBuffer());
    return { samples: mixDown(buffer), rateHz, seconds: buffer.duration };
  } catch (error) {
    if (error instanceof DOMException) return null;
    throw error;
  }
}

function mixDown(buffer) {
  const mono = new Float32Array(buffer.length);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const samples = buffer.getChannelData(channel);
    for (let i = 0; i < samples.length; i++) mono[i] += samples[i] / buffer.numberOfChannels;
  }
  return mono;
}
