// contextBridge over DOM events. The preload's world and the page's world share no objects, but `dispatchEvent` on the shared document
// runs the other world's listeners at once. Runs in both worlds before any script of the page; the event name is a secret between them.
// Functions and promises travel as numbers. Expects `side`, `secret`, `encodeValue`, `decodeValue` in scope.
const other = side === 'page' ? 'preload' : 'page';
const functions = new Map();
const promises = new Map();
let lastId = 0;
const pristine = { CustomEvent, dispatch: document.dispatchEvent.bind(document) };
const isPlain = (value) => {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
};
const outward = (value) => {
  if (typeof value === 'function') {
    lastId += 1;
    functions.set(lastId, value);
    return { $f: lastId };
  }
  if (value === null || typeof value !== 'object') return value;
  if (typeof value.then === 'function') {
    lastId += 1;
    const id = lastId;
    value.then(
      (result) => post({ kind: 'fulfilled', id, value: outward(result) }),
      (reason) => post({ kind: 'rejected', id, value: outward(reason) }),
    );
    return { $p: id };
  }
  if (Array.isArray(value)) return value.map(outward);
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, outward(inner)]));
};
const inward = (value) => {
  if (value === null || typeof value !== 'object' || !(Array.isArray(value) || isPlain(value))) return value;
  if (Array.isArray(value)) return value.map(inward);
  if ('$f' in value) {
    return (...parameters) => {
      const answer = post({ kind: 'call', id: value.$f, value: outward(parameters) });
      if ('thrown' in answer) throw inward(answer.thrown);
      return inward(answer.returned);
    };
  }
  if ('$p' in value) return new Promise((resolve, reject) => promises.set(value.$p, { resolve, reject }));
  return Object.freeze(Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inward(inner)])));
};
let answered;
const post = (message) => {
  answered = undefined;
  pristine.dispatch(new pristine.CustomEvent(`${secret}-${other}`, { detail: encodeValue(message) }));
  return answered === undefined ? {} : decodeValue(answered);
};
const receive = (message) => {
  if (message.kind === 'call') {
    try {
      return { returned: outward(functions.get(message.id)(...inward(message.value))) };
    } catch (thrown) {
      return { thrown: thrown instanceof Error ? thrown : new Error(String(thrown)) };
    }
  }
  if (message.kind === 'expose') {
    Object.defineProperty(globalThis, message.key, {
      value: inward(message.value),
      writable: false,
      configurable: false,
    });
    return {};
  }
  const waiting = promises.get(message.id);
  promises.delete(message.id);
  waiting?.[message.kind === 'fulfilled' ? 'resolve' : 'reject'](inward(message.value));
  return {};
};
document.addEventListener(`${secret}-${other}-answer`, (event) => {
  answered = event.detail;
});
document.addEventListener(`${secret}-${side}`, (event) => {
  const answer = receive(decodeValue(event.detail));
  pristine.dispatch(new pristine.CustomEvent(`${secret}-${side}-answer`, { detail: encodeValue(answer) }));
});
