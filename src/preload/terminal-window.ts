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
  openLink: true,
} as const satisfies Record<TerminalIntent, true>;

const state: (typeof channels)['terminalState'] = 'terminal:state';
const output: (typeof channels)['terminalOutput'] = 'terminal:output';
const ready: (typeof channels)['terminalReady'] = 'terminal:ready';

const bridge: TerminalBridge = {
  send: senders<TerminalBridge['send']>('terminal', namesOf(intents)),
  onState: pushed<TerminalState>(state, ready),
  onOutput(listener) {
    const heard = (_event: unknown, tabId: string, chunk: string) => listener(tabId, chunk);
    ipcRenderer.on(output, heard);
    return () => {
      ipcRenderer.removeListener(output, heard);
    };
  },
};
contextBridge.exposeInMainWorld('curfewTerminal', bridge);
