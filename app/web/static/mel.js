// What is drawn of a sound: its envelope, and a log-mel spectrogram. For the eye, and for nothing
// else: what the models are given is computed by the service.
import { Fourier } from "./fourier.js";

const FRAME = 1024;
const TOP_DB = 80;
const QUIETEST_PEAK = 1e-4; // what is quieter than this energy is not drawn as if it were loud
const FRAMES_A_COLUMN = 4; // at the most, where a column stands for seconds

/** Lowest and highest sample of each of `columns` equal parts: Float32Array [columns * 2]. */
export function envelope(samples, columns) {
  const extremes = new Float32Array(columns * 2);
  for (let column = 0; column < columns; column++) {
    const [start, end] = partOf(samples.length, columns, column);
    let [low, high] = [samples[start] ?? 0, samples[start] ?? 0];
    for (let i = start; i < end; i++) {
      if (samples[i] < low) low = samples[i];
      else if (samples[i] > high) high = samples[i];
    }
    extremes.set([low, high], column * 2);
  }
  return extremes;
}

/**
 * Log-mel spectrogram in `columns` equal parts, each the mean of a few frames in it.
 *
 * Returns Float32Array [columns * bands], 0 (80 dB below the loudest, or less) to 1 (the loudest, if it can be heard);
 * band 0 is the lowest.
 */
export function melSpectrogram(samples, rateHz, columns, bands) {
  const fourier = new Fourier(FRAME);
  const filters = melFilters(rateHz, FRAME, bands);
  const [frame, power] = [new Float32Array(FRAME), new Float32Array(FRAME / 2 + 1)];
  const energies = new Float32Array(columns * bands);
  for (let column = 0; column < columns; column++) {
    const [start, end] = partOf(samples.length, columns, column);
    const frames = Math.max(1, Math.min(FRAMES_A_COLUMN, Math.ceil((end - start) / FRAME)));
    for (let i = 0; i < frames; i++) {
      const centre = start + ((i + 0.5) * (end - start)) / frames;
      fourier.power(windowed(samples, Math.round(centre) - FRAME / 2, frame), power);
      addBands(power, filters, energies.subarray(column * bands, (column + 1) * bands), 1 / frames);
    }
  }
  return toUnitRange(energies);
}

function partOf(length, parts, part) {
  return [Math.floor((part * length) / parts), Math.floor(((part + 1) * length) / parts)];
}

/** Hann's window over the samples from `start`; there is silence where there are none. */
function windowed(samples, start, frame) {
  for (let i = 0; i < FRAME; i++) {
    const hann = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / FRAME);
    frame[i] = hann * (samples[start + i] ?? 0);
  }
  return frame;
}

function addBands(power, filters, energies, weight) {
  filters.forEach(({ first, weights }, band) => {
    let sum = 0;
    for (let i = 0; i < weights.length; i++) sum += weights[i] * power[first + i];
    energies[band] += sum * weight;
  });
}

/** Triangles over Slaney's mel scale, each of area 1, as librosa's by default. */
export function melFilters(rateHz, frameSize, bands) {
  const highest = toMel(rateHz / 2);
  const edges = Array.from({ length: bands + 2 }, (_, i) => toHz((highest * i) / (bands + 1)));
  return Array.from({ length: bands }, (_, band) => {
    const [low, centre, high] = edges.slice(band, band + 3);
    const first = Math.ceil((low * frameSize) / rateHz);
    const last = Math.floor((high * frameSize) / rateHz);
    const weights = Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
      const hz = ((first + i) * rateHz) / frameSize;
      const height = Math.min((hz - low) / (centre - low), (high - hz) / (high - centre));
      return (Math.max(0, height) * 2) / (high - low);
    });
    return { first, weights };
  });
}

const LINEAR_HZ = 200 / 3; // hertz a mel below the corner
const CORNER_HZ = 1000;
const CORNER_MEL = CORNER_HZ / LINEAR_HZ;
const LOG_STEP = Math.log(6.4) / 27;

/** Hertz on Slaney's mel scale (Auditory Toolbox, 1998). */
export function toMel(hz) {
  return hz < CORNER_HZ ? hz / LINEAR_HZ : CORNER_MEL + Math.log(hz / CORNER_HZ) / LOG_STEP;
}

function toHz(mel) {
  return mel < CORNER_MEL ? mel * LINEAR_HZ : CORNER_HZ * Math.exp(LOG_STEP * (mel - CORNER_MEL));
}

function toUnitRange(energies) {
  let loudest = QUIETEST_PEAK;
  for (const energy of energies) if (energy > loudest) loudest = energy;
  return energies.map((energy) =>
    Math.max(0, 1 + (10 * Math.log10(Math.max(energy, 1e-12) / loudest)) / TOP_DB),
  );
}
