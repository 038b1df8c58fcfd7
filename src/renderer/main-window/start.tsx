/** Entry of the main window: draws the app on the bridge that the preload put in place. */
import { createRoot } from 'react-dom/client';
import type { MainBridge } from '../../shared/desktop.ts';
import { App } from './app.tsx';

declare global {
  interface Window {
    curfew: MainBridge;
  }
}

const root = document.getElementById('root');
if (root === null) throw new Error('the page has no #root to draw into');
createRoot(root).render(<App bridge={window.curfew} />);
