// A page that was opened from a disk may start no worker, and the search of the site is one: there it runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #frame = document.createElement("iframe");
    #waiting = [];
    #ready = false;

    constructor(url) {
      super();
      this.#frame.hidden = true;
      this.#frame.srcdoc = "<!doctype html><title>worker</title>";
      this.#frame.addEventListener("load", () => this.#begin(url), { once: true });
      document.body.append(this.#frame);
    }

    #begin(url) {
      const inside = this.#frame.contentWindow;
      // What a worker calls postMessage is, in a frame, for the frame itself. Messages are copies and arrive later, as a
      // worker's do: it may change what it was sent, and who has just sent one is not ready for the answer.
      inside.postMessage = (data) => setTimeout(() => this.#hear(structuredClone(data)));
      const script = inside.document.createElement("script");
      script.src = url;
      script.onload = () => {
        this.#ready = true;
        this.#waiting.splice(0).forEach((data) => this.#tell(data));
      };
      inside.document.body.append(script);
    }

    #hear(data) {
      const event = new MessageEvent("message", { data });
      this.onmessage?.(event);
      this.dispatchEvent(event);
    }

    #tell(data) {
      const inside = this.#frame.contentWindow;
      inside.dispatchEvent(new inside.MessageEvent("message", { data }));
    }

    postMessage(data) {
      const copy = structuredClone(data);
      if (this.#ready) setTimeout(() => this.#tell(copy));
      else this.#waiting.push(copy);
    }

    terminate() {
      this.#frame.remove();
    }
  };
}
