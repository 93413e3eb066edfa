// Search in a manual that is opened from a folder: browsers let such a page start no worker and fetch no file. The index
// comes as a script, which scripts/manual writes, and the worker's code runs in a frame that nobody sees.
if (location.protocol === "file:") {
  const base = new URL(".", document.currentScript.src);
  window.__search = {
    index: new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL("search/search_index.js", base);
      script.onload = () => resolve(window.manual_search_index);
      script.onerror = reject;
      document.head.appendChild(script);
    }),
  };
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = "<!doctype html><title>search</title>";
      frame.onload = () => {
        const inside = frame.contentWindow;
        inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
        const script = inside.document.createElement("script");
        script.src = new URL(url, base);
        script.onload = () => {
          this.inside = inside;
          this.waiting.splice(0).forEach((data) => this.postMessage(data));
        };
        inside.document.head.appendChild(script);
      };
      document.body.appendChild(frame);
    }
    postMessage(data) {
      if (this.inside) {
        this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data }));
      } else {
        this.waiting.push(data);
      }
    }
  };
}
