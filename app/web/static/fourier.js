// The discrete Fourier transform of short frames.

/** A transform of frames of a size that is a power of two. */
export class Fourier {
  constructor(size) {
    this.size = size;
    this.real = new Float32Array(size);
    this.imaginary = new Float32Array(size);
    this.cosines = Float32Array.from({ length: size / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / size));
    this.sines = Float32Array.from({ length: size / 2 }, (_, k) => Math.sin((2 * Math.PI * k) / size));
    const bits = Math.log2(size);
    this.places = Uint32Array.from({ length: size }, (_, i) => {
      let place = 0;
      for (let bit = 0; bit < bits; bit++) place |= ((i >> bit) & 1) << (bits - 1 - bit);
      return place;
    });
  }

  /** Write the power of each frequency, size / 2 + 1 of them, of a real frame into `power`. */
  power(frame, power) {
    const { real, imaginary, size, places } = this;
    for (let i = 0; i < size; i++) real[places[i]] = frame[i];
    imaginary.fill(0);
    for (let half = 1; half < size; half *= 2) this.#combine(half);
    for (let k = 0; k <= size / 2; k++) power[k] = real[k] ** 2 + imaginary[k] ** 2;
  }

  /** One stage of Cooley and Tukey's method: transforms of `half` points become twice as long. */
  #combine(half) {
    const { real, imaginary, cosines, sines, size } = this;
    const step = size / (2 * half);
    for (let start = 0; start < size; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const [even, odd] = [start + k, start + k + half];
        const [cosine, sine] = [cosines[k * step], sines[k * step]];
        const oddReal = real[odd] * cosine + imaginary[odd] * sine;
        const oddImaginary = imaginary[odd] * cosine - real[odd] * sine;
        real[odd] = real[even] - oddReal;
        imaginary[odd] = imaginary[even] - oddImaginary;
        real[even] += oddReal;
        imaginary[even] += oddImaginary;
      }
    }
  }
}
