// Period search: least squares of a sine with a mean of its own in each band, one phase and amplitude for all bands.
// A floating-mean Lomb-Scargle periodogram (Zechmeister & Kürster 2009, A&A 496, 577) with the sums taken by band.

export function frequencies(span, { longest = 100, shortest = 0.05, most = 20000 } = {}) {
  const [low, high] = [1 / Math.min(longest, Math.max(span, 0.2)), 1 / shortest];
  const n = Math.min(most, Math.max(500, Math.ceil((high - low) * span * 5)));
  return Float64Array.from({ length: n }, (_, i) => low + ((high - low) * i) / (n - 1));
}

// Power from 0 to 1 at each frequency; t, y, w (weights) and band (small integers) are arrays of one length.
export function power(t, y, w, band, f) {
  const n = t.length;
  const bands = Math.max(...band) + 1;
  const total = new Float64Array(bands);
  const mean = new Float64Array(bands);
  for (let i = 0; i < n; i++) { total[band[i]] += w[i]; mean[band[i]] += w[i] * y[i]; }
  for (let b = 0; b < bands; b++) if (total[b]) mean[b] /= total[b];
  const r = y.map((value, i) => value - mean[band[i]]);
  let yy = 0;
  for (let i = 0; i < n; i++) yy += w[i] * r[i] * r[i];
  const out = new Float64Array(f.length);
  const [sc, ss] = [new Float64Array(bands), new Float64Array(bands)];
  for (let k = 0; k < f.length; k++) {
    let [yc, ys, cc, s2, cs] = [0, 0, 0, 0, 0];
    sc.fill(0);
    ss.fill(0);
    for (let i = 0; i < n; i++) {
      const phase = 2 * Math.PI * f[k] * t[i];
      const [c, s] = [Math.cos(phase), Math.sin(phase)];
      yc += w[i] * r[i] * c; ys += w[i] * r[i] * s;
      cc += w[i] * c * c; s2 += w[i] * s * s; cs += w[i] * c * s;
      sc[band[i]] += w[i] * c; ss[band[i]] += w[i] * s;
    }
    for (let b = 0; b < bands; b++) {
      if (!total[b]) continue;
      cc -= (sc[b] * sc[b]) / total[b]; s2 -= (ss[b] * ss[b]) / total[b]; cs -= (sc[b] * ss[b]) / total[b];
    }
    const d = cc * s2 - cs * cs;
    out[k] = d > 1e-12 && yy > 0 ? Math.min(1, (s2 * yc * yc + cc * ys * ys - 2 * cs * yc * ys) / (yy * d)) : 0;
  }
  return out;
}
