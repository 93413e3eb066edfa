// Trains the model of contractive_model.js by onnxruntime-web, for browser.md. ?steps=N begins by itself and ends after N
// steps; ?ort=URL says where onnxruntime-web is.
(() => {
  const query = new URLSearchParams(location.search);
  const place = query.get('ort') ?? 'https://cdn.jsdelivr.net/npm/onnxruntime-web@1.30.0/dist/';
  const element = id => document.getElementById('cinch-' + id);
  const state = element('state'), side = 28, visible = side * side, hidden = 100, batch = 20;

  function loadRuntime() {
    return new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = place + 'ort.wasm.min.js';
      script.onload = resolve;
      script.onerror = () => reject(new Error('onnxruntime-web cannot be loaded from ' + place));
      document.head.append(script);
    });
  }

  // Bright where a stroke passes.
  function strokes(data) {
    for (let n = 0; n < batch; ++n) {
      const angle = Math.PI * Math.random(), x0 = 8 + 12 * Math.random(), y0 = 8 + 12 * Math.random();
      const dx = Math.cos(angle), dy = Math.sin(angle), half = 5 + 6 * Math.random();
      for (let y = 0; y < side; ++y) {
        for (let x = 0; x < side; ++x) {
          const along = Math.max(-half, Math.min(half, (x - x0) * dx + (y - y0) * dy));
          const away = Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
          data[n * visible + y * side + x] = Math.exp(-0.5 * away * away);
        }
      }
    }
  }

  // One square for each hidden unit, ten in a row.
  function draw(W) {
    const context = element('filters').getContext('2d'), pixels = context.createImageData(290, 290);
    for (let j = 0; j < hidden; ++j) {
      let most = 1e-6;
      for (let i = 0; i < visible; ++i) most = Math.max(most, Math.abs(W[i * hidden + j]));
      for (let i = 0; i < visible; ++i) {
        const x = (j % 10) * 29 + i % side, y = Math.floor(j / 10) * 29 + Math.floor(i / side);
        const at = 4 * (y * 290 + x), grey = 127.5 * (1 + W[i * hidden + j] / most);
        pixels.data.set([grey, grey, grey, 255], at);
      }
    }
    context.putImageData(pixels, 0, 0);
  }

  async function train(steps) {
    state.textContent = 'loading onnxruntime-web';
    if (!window.ort) await loadRuntime();
    ort.env.wasm.wasmPaths = new URL(place, location.href).href;
    ort.env.wasm.numThreads = 1;
    const bytes = Uint8Array.from(atob(cinch_contractive_model), c => c.charCodeAt(0));
    const session = await ort.InferenceSession.create(bytes);
    const tensor = (dims, f) =>
        new ort.Tensor('float32', Float32Array.from({length: dims.reduce((a, b) => a * b, 1)}, f), dims);
    const x = new Float32Array(batch * visible);
    const feeds = {
      W: tensor([visible, hidden], () => 0.2 * Math.random() - 0.1),
      b: tensor([hidden], () => 0),
      c: tensor([visible], () => 0),
    };
    let spent = 0, first;
    for (let t = 1; t <= steps; ++t) {
      strokes(x);
      feeds.x = new ort.Tensor('float32', x, [batch, visible]);
      feeds.weight = tensor([], () => Number(element('weight').value));
      const begin = performance.now();
      const out = await session.run(feeds);
      spent += performance.now() - begin;
      for (const name of ['W', 'b', 'c']) feeds[name] = out[name + '_next'];
      first ??= out.loss.data[0];
      if (t % 25 === 0 || t === steps) {
        draw(feeds.W.data);
        state.textContent = `step ${t}, loss ${first.toFixed(1)} at first, ${out.loss.data[0].toFixed(1)} now`;
        if (spent > 0) state.textContent += `, ${Math.round(1000 * t / spent)} steps a second`;
        await new Promise(resolve => setTimeout(resolve));
      }
    }
    state.textContent += ', done';
  }

  const begin = steps => {
    element('start').disabled = true;
    train(steps).catch(e => { state.textContent = e.message; }).finally(() => { element('start').disabled = false; });
  };
  element('start').onclick = () => begin(5000);
  if (query.has('steps')) begin(Number(query.get('steps')));
})();
