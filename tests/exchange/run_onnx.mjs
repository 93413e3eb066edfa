// Runs ONNX models by onnxruntime-web. Usage: node run_onnx.mjs MODULES CASES.mjs RESULTS
// CASES.mjs exports a list of {name, file, steps, feeds, draws, next}: what is fed at each step, what of it is drawn
// anew (draws[k] for step k), and which outputs are fed back as which inputs. RESULTS gets for each case a line
// "case NAME", then "error TEXT" or lines "step K OUTPUT NUMBERS..." of the last step and of all scalars.
import {createRequire} from 'node:module';
import {writeFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';

const [modules, cases, results] = process.argv.slice(2);
const ort = createRequire(modules + '/')('onnxruntime-web');
ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'fatal';

const arrays = {float32: Float32Array, float64: Float64Array, int64: BigInt64Array, bool: Uint8Array};
const tensor = ({dtype, dims, data}) =>
    new ort.Tensor(dtype, arrays[dtype].from(data, dtype === 'int64' ? BigInt : Number), dims);

const lines = [];
for (const c of (await import(pathToFileURL(cases))).default) {
  lines.push('case ' + c.name);
  try {
    const session = await ort.InferenceSession.create(c.file, {graphOptimizationLevel: 'all'});
    const feeds = {};
    for (const [name, value] of Object.entries(c.feeds)) feeds[name] = tensor(value);
    for (let step = 0; step < c.steps; ++step) {
      for (const [name, value] of Object.entries(c.draws[step] ?? {})) feeds[name] = tensor(value);
      const all = await session.run(feeds);
      for (const name of session.outputNames) {
        if (all[name].dims.length === 0 || step + 1 === c.steps)
          lines.push(['step', step, name, ...all[name].data].join(' '));
      }
      for (const [input, output] of Object.entries(c.next)) feeds[input] = all[output];
    }
    await session.release();
  } catch (e) {
    lines.push('error ' + String(e.message ?? e).replace(/\s+/g, ' '));
  }
}
writeFileSync(results, lines.join('\n') + '\n');
