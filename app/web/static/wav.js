// Samples as a WAV file, which every service reads.

const HEADER_BYTES = 44;

/** Mono samples (Float32Array in [-1, 1]) as a Blob: WAV, 16-bit PCM, one channel. */
export function encodeWav(samples, rateHz) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + samples.length * 2));
  const write = (offset, text) =>
    [...text].forEach((letter, i) => view.setUint8(offset + i, letter.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, view.byteLength - 8, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of this chunk
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rateHz, true);
  view.setUint32(28, rateHz * 2, true); // bytes a second
  view.setUint16(32, 2, true); // bytes a frame
  view.setUint16(34, 16, true); // bits a sample
  write(36, "data");
  view.setUint32(40, samples.length * 2, true);
  for (let i = 0; i < samples.length; i++) {
    const clipped = Math.max(-1, Math.min(1, samples[i]));
    view.setInt16(HEADER_BYTES + i * 2, Math.round(clipped * 32767), true);
  }
  return new Blob([view.buffer], { type: "audio/wav" });
}
