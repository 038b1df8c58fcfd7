/** The terminal window's bridge. It shows remote output, so it is narrow: its own tabs, and nothing else (threats APP-09). */
import { contextBridge, ipcRenderer } from 'electron';
import type { channels, TerminalBridge, TerminalIntent, TerminalState } from '../shared/desktop.ts';
import { namesOf, pushed, senders } from './bridge.ts';

const intents = {
  keystrokes: true,
  resize: true,
  acknowledge: true,
  selectTab: true,
  newTab: true,
  closeTab: true,
  extend: true,
  end: true,
  askAgain: true,
  saveText: true,
  openLink: true,
} as const satisfies Record<TerminalIntent, true>;

const state: (typeof channels)['terminalState'] = 'terminal:state';
const output: (typeof channels)['terminalOutput'] = 'terminal:output';
const ready: (typeof channels)['terminalReady'] = 'terminal:ready';

// Kept until somebody listens: main sends the scrollback as soon as the window is ready for its state.
let early: Array<[tabId: string, chunk: string]> | null = [];
const listeners = new Set<(tabId: string, chunk: string) => void>();
ipcRenderer.on(output, (_event, tabId: string, chunk: string) => {
  early?.push([tabId, chunk]);
  for (const listener of listeners) listener(tabId, chunk);
});

const bridge: TerminalBridge = {
  send: senders<TerminalBridge['send']>('terminal', namesOf(intents)),
  onState: pushed<TerminalState>(state, ready),
  onOutput(listener) {
    listeners.add(listener);
    for (const [tabId, chunk] of early ?? []) listener(tabId, chunk);
    early = null;
    return () => {
      listeners.delete(listener);
    };
  },
};
contextBridge.exposeInMainWorld('curfewTerminal', bridge);
