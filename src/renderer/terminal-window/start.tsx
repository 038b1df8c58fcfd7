/** Entry of the terminal window: draws the app on the narrow bridge that the preload put in place. */
import '@xterm/xterm/css/xterm.css';
import { createRoot } from 'react-dom/client';
import type { TerminalBridge } from '../../shared/desktop.ts';
import { App } from './app.tsx';

declare global {
  interface Window {
    curfewTerminal: TerminalBridge;
  }
}

const root = document.getElementById('root');
if (root === null) throw new Error('the page has no #root to draw into');
createRoot(root).render(<App bridge={window.curfewTerminal} />);
