// Searching from a disk: browsers start no Worker for file:// pages, so a hidden frame takes its place.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      addEventListener("message", (event) => {
        if (event.source === inside) {
          this.dispatchEvent(new MessageEvent("message", { data: event.data }));
        }
      });
      this.ready = new Promise((resolve) => this.frame.addEventListener("load", resolve));
      inside.document.open();
      inside.document.write(
        `<script>
          postMessage = (said) => parent.postMessage(said, "*")
          importScripts = (...addresses) => addresses.reduce((before, address) =>
            before.then(() => new Promise((resolve) => {
              const script = document.createElement("script")
              script.src = address
              script.addEventListener("load", resolve)
              document.head.append(script)
            })), Promise.resolve())
        </script><script src="${address}"></script>`,
      );
      inside.document.close();
    }

    postMessage(said) {
      this.ready.then(() => {
        this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data: said }));
      });
    }
  };
}
