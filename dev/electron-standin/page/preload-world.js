// What a sandboxed preload finds: `require('electron')` with ipcRenderer and contextBridge, and a poor `process`. Expects the bridge,
// `processFacts` and `runPreload` in scope. `__standInSend` is a binding that only this world has; `__standInReceive` is called by the stand-in.
const listeners = new Map();
const calls = new Map();
let lastCall = 0;
const transmit = globalThis.__standInSend;
delete globalThis.__standInSend;
const send = (message) => transmit(encodeValue(message));
globalThis.__standInReceive = (text) => {
  const message = decodeValue(text);
  if (message.kind === 'message') {
    for (const listener of [...(listeners.get(message.channel) ?? [])]) listener({ sender: null }, ...message.values);
    return;
  }
  const call = calls.get(message.id);
  calls.delete(message.id);
  if (message.kind === 'answer') call?.resolve(message.value);
  else call?.reject(new Error(`Error invoking remote method '${call.channel}': ${message.what}`));
};
const ipcRenderer = {
  invoke: (channel, ...values) =>
    new Promise((resolve, reject) => {
      lastCall += 1;
      calls.set(lastCall, { resolve, reject, channel });
      send({ kind: 'invoke', id: lastCall, channel, values });
    }),
  send: (channel, ...values) => send({ kind: 'send', channel, values }),
  on(channel, listener) {
    if (!listeners.has(channel)) listeners.set(channel, new Set());
    listeners.get(channel).add(listener);
    return ipcRenderer;
  },
  off(channel, listener) {
    listeners.get(channel)?.delete(listener);
    return ipcRenderer;
  },
  removeListener: (channel, listener) => ipcRenderer.off(channel, listener),
  removeAllListeners(channel) {
    listeners.delete(channel);
    return ipcRenderer;
  },
};
const contextBridge = {
  exposeInMainWorld: (key, value) => {
    post({ kind: 'expose', key, value: outward(value) });
  },
};
// Real input only: page script cannot make a trusted event, and this listener stands before every listener of the page.
const inputKinds = {
  keydown: 'rawKeyDown',
  keyup: 'keyUp',
  mousedown: 'mouseDown',
  mouseup: 'mouseUp',
  touchstart: 'touchStart',
};
for (const [kind, electronKind] of Object.entries(inputKinds)) {
  globalThis.addEventListener(
    kind,
    (event) => {
      if (event.isTrusted) send({ kind: 'input', type: electronKind, key: event.key ?? null });
    },
    { capture: true, passive: true },
  );
}
const requireInPreload = (name) => {
  if (name === 'electron' || name === 'electron/renderer') return { ipcRenderer, contextBridge };
  throw new Error(`module not found: ${name}`);
};
runPreload(
  requireInPreload,
  { exports: {} },
  { ...processFacts, contextIsolated: true, sandboxed: true, type: 'renderer', env: {} },
);
