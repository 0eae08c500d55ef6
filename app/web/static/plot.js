// Drawing on canvases: a waveform, a spectrogram, and strips of heat.

/** Draw the envelope of a picture (see mel.js). */
export function drawWaveform(canvas, { extremes, columns }) {
  const { context, width, height } = prepare(canvas);
  const scale = height / 2 / loudestOf(extremes);
  context.fillStyle = colour(canvas, "--wave");
  for (let x = 0; x < width; x++) {
    const [first, last] = columnsAt(x, width, columns);
    let [low, high] = [Infinity, -Infinity];
    for (let column = first; column <= last; column++) {
      low = Math.min(low, extremes[column * 2]);
      high = Math.max(high, extremes[column * 2 + 1]);
    }
    const top = height / 2 - high * scale;
    context.fillRect(x, top, 1, Math.max(1, (high - low) * scale));
  }
}

/** Draw the mel spectrogram of a picture, the lowest band at the bottom. */
export function drawSpectrogram(canvas, { mel, columns, bands }) {
  const palette = paletteOf(canvas);
  const image = new ImageData(columns, bands);
  for (let column = 0; column < columns; column++) {
    for (let band = 0; band < bands; band++) {
      const shade = Math.round(mel[column * bands + band] * 255) * 4;
      const pixel = ((bands - 1 - band) * columns + column) * 4;
      image.data.set(palette.subarray(shade, shade + 4), pixel);
    }
  }
  const small = new OffscreenCanvas(columns, bands);
  small.getContext("2d").putImageData(image, 0, 0);
  const { context, width, height } = prepare(canvas);
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, width, height);
}

/** Draw cells [{start, end, heat}]: start and end as parts of the whole, heat in [0, 1]. */
export function drawStrip(canvas, cells) {
  const { context, width, height } = prepare(canvas);
  context.fillStyle = colour(canvas, "--heat");
  for (const { start, end, heat } of cells) {
    const [left, right] = [Math.round(start * width), Math.round(end * width)];
    const gap = right - left > 12 && right < width ? 2 : 0; // cells that are wide enough stand apart
    context.globalAlpha = heat;
    context.fillRect(left, 0, Math.max(1, right - left - gap), height);
  }
}

/** Empty a canvas, as many pixels large as the screen shows of it. */
function prepare(canvas) {
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
  return { context: canvas.getContext("2d"), width: canvas.width, height: canvas.height };
}

function columnsAt(x, width, columns) {
  const first = Math.floor((x * columns) / width);
  return [first, Math.max(first, Math.ceil(((x + 1) * columns) / width) - 1)];
}

/** What fills the height: quiet sounds are drawn larger, near silence stays flat. */
function loudestOf(extremes) {
  const loudest = extremes.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  return Math.max(loudest * 1.05, 0.02);
}

function colour(element, name) {
  return getComputedStyle(element).getPropertyValue(name);
}

/** 256 colours, of the theme: Uint8ClampedArray [256 * 4]. */
function paletteOf(element) {
  const strip = new OffscreenCanvas(256, 1).getContext("2d");
  const gradient = strip.createLinearGradient(0, 0, 256, 0);
  [0, 0.4, 0.72, 1].forEach((stop, i) => gradient.addColorStop(stop, colour(element, `--mel-${i}`)));
  strip.fillStyle = gradient;
  strip.fillRect(0, 0, 256, 1);
  return strip.getImageData(0, 0, 256, 1).data;
}
