/** The frame that both windows stand in: fonts, tokens, Mantine with our theme, light or dark. */
import '@fontsource-variable/inter/opsz.css';
import '@fontsource-variable/jetbrains-mono/wght.css';
import '@mantine/core/styles.layer.css';
import './tokens.css';
import './base.css';
import './mantine.css';
import { MantineProvider } from '@mantine/core';
import type { ReactNode } from 'react';
import type { Settings } from '../../shared/desktop.ts';
import { cssVariablesResolver, theme } from './theme.ts';

/** Draws its children in the given scheme; `system` follows the operating system as it changes. */
export const Look = ({ scheme, children }: { scheme: Settings['scheme']; children: ReactNode }) => (
  <MantineProvider
    theme={theme}
    cssVariablesResolver={cssVariablesResolver}
    defaultColorScheme="auto"
    withGlobalClasses={false}
    {...(scheme === 'system' ? {} : { forceColorScheme: scheme })}
  >
    {children}
  </MantineProvider>
);
