import { existsSync } from 'node:fs';
import path from 'node:path';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'electron-vite';
import type { Plugin } from 'vite';

const at = (...parts: string[]): string => path.resolve(import.meta.dirname, ...parts);

/** Every page carries its content security policy; one without it must not be built (threats APP-10). */
const strictPages: Plugin = {
  name: 'curfew-strict-pages',
  transformIndexHtml: {
    order: 'post',
    handler(html, { path: page }) {
      if (!html.includes("default-src 'none'") || !html.includes("script-src 'self';")) {
        throw new Error(`${page} has no strict content security policy`);
      }
    },
  },
};

const pages = {
  'main-window': at('src/renderer/main-window/index.html'),
  'terminal-window': at('src/renderer/terminal-window/index.html'),
};

export default defineConfig({
  main: {
    build: {
      // Everything is bundled but what is native: the package then carries no tree of modules.
      externalizeDeps: false,
      outDir: 'out',
      emptyOutDir: true,
      rollupOptions: {
        input: { 'main/main': at('src/main/main.ts'), 'session-client/main': at('src/session-client/main.ts') },
        external: ['electron', 'node-pty'],
        output: { format: 'es', entryFileNames: '[name].js', chunkFileNames: 'main/chunks/[name]-[hash].js' },
      },
    },
  },
  preload: {
    build: {
      // A sandboxed preload is one CommonJS file that can require nothing but `electron`.
      externalizeDeps: false,
      isolatedEntries: true,
      outDir: 'out/preload',
      rollupOptions: {
        input: {
          'main-window': at('src/preload/main-window.ts'),
          'terminal-window': at('src/preload/terminal-window.ts'),
        },
        output: { format: 'cjs', entryFileNames: '[name].cjs' },
      },
    },
  },
  renderer: {
    root: at('src/renderer'),
    plugins: [react(), strictPages],
    build: {
      outDir: at('out/renderer'),
      // Fonts stay files: the pages' policy allows none from `data:`.
      assetsInlineLimit: 0,
      rollupOptions: { input: Object.fromEntries(Object.entries(pages).filter(([, file]) => existsSync(file))) },
    },
  },
});
