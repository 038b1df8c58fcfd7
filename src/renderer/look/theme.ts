/** Mantine in Curfew's clothes: the tokens of tokens.css decide, Mantine's own palette is never seen. */
import {
  Button,
  type CSSVariablesResolver,
  createTheme,
  defaultVariantColorsResolver,
  type MantineColorsTuple,
  Modal,
  type VariantColorsResolver,
} from '@mantine/core';

/** From paper to ink: what Mantine falls back on where no token is named. */
const ink: MantineColorsTuple = [
  '#F5F5F2',
  '#ECEBE6',
  '#D3D1CA',
  '#B4B2AA',
  '#96948B',
  '#75736B',
  '#68665F',
  '#4E4C46',
  '#2A2A27',
  '#1B1A17',
];

type Paint = ReturnType<VariantColorsResolver>;

/** One primary button a view, in ink; destroying is crimson and outlined (`stop`) until it is being confirmed (`sure`). */
const paints: Record<string, Paint> = {
  filled: {
    background: 'var(--ink)',
    hover: 'color-mix(in srgb, var(--ink) 88%, var(--surface))',
    color: 'var(--on-ink)',
    border: '1px solid var(--ink)',
  },
  default: {
    background: 'var(--surface)',
    hover: 'var(--hover)',
    color: 'var(--ink)',
    border: '1px solid var(--line-2)',
  },
  subtle: {
    background: 'transparent',
    hover: 'var(--hover)',
    color: 'var(--ink-2)',
    border: '1px solid transparent',
  },
  stop: {
    background: 'var(--surface)',
    hover: 'var(--no-tint)',
    color: 'var(--no)',
    border: '1px solid var(--line-2)',
  },
  sure: {
    background: 'var(--no-fill)',
    hover: 'color-mix(in srgb, var(--no-fill) 88%, var(--ink))',
    color: 'var(--on-no)',
    border: '1px solid var(--no-fill)',
  },
};

/** How one size of button is cut: height, padding, letter size. */
const cuts: Record<string, { height: string; padding: string; letters: string }> = {
  xs: { height: '1.625rem', padding: '9px', letters: 'var(--t-small)' },
  sm: { height: 'var(--h-control)', padding: '11px', letters: 'var(--t-body)' },
  lg: { height: 'var(--h-big)', padding: '14px', letters: 'var(--t-body)' },
};

export const theme = createTheme({
  fontFamily: 'var(--font-ui)',
  fontFamilyMonospace: 'var(--font-mono)',
  primaryColor: 'ink',
  primaryShade: { light: 9, dark: 0 },
  colors: { ink },
  defaultRadius: 6,
  cursorType: 'pointer',
  fontSizes: {
    xs: 'var(--t-label)',
    sm: 'var(--t-small)',
    md: 'var(--t-body)',
    lg: 'var(--t-lead)',
    xl: 'var(--t-title)',
  },
  lineHeights: {
    xs: 'var(--lh-label)',
    sm: 'var(--lh-small)',
    md: 'var(--lh-body)',
    lg: 'var(--lh-lead)',
    xl: 'var(--lh-title)',
  },
  spacing: { xs: 'var(--s-1)', sm: 'var(--s-2)', md: 'var(--s-3)', lg: 'var(--s-4)', xl: 'var(--s-5)' },
  shadows: { xs: 'none', sm: 'none', md: 'var(--shadow)', lg: 'var(--shadow)', xl: 'var(--shadow)' },
  respectReducedMotion: true,
  variantColorResolver: (input) => paints[input.variant] ?? defaultVariantColorsResolver(input),
  components: {
    Button: Button.extend({
      // Named, so that the style sheets can tell it: Mantine leaves the attribute out otherwise.
      defaultProps: { variant: 'filled' },
      vars: (_theme, { size }) => {
        const cut = cuts[size ?? 'sm'] ?? cuts['sm'];
        return {
          root: {
            '--button-height': cut?.height,
            '--button-padding-x': cut?.padding,
            '--button-fz': cut?.letters,
          },
        };
      },
    }),
    Modal: Modal.extend({
      defaultProps: {
        centered: true,
        radius: 10,
        padding: 20,
        overlayProps: { backgroundOpacity: 0.35 },
        transitionProps: { duration: 120 },
      },
    }),
  },
});

/** Maps the handful of variables that Mantine's components read to our tokens. */
export const cssVariablesResolver: CSSVariablesResolver = () => {
  const scheme = {
    '--mantine-color-body': 'var(--surface)',
    '--mantine-color-text': 'var(--ink)',
    '--mantine-color-bright': 'var(--ink)',
    '--mantine-color-dimmed': 'var(--ink-3)',
    '--mantine-color-placeholder': 'var(--ink-3)',
    '--mantine-color-default': 'var(--surface)',
    '--mantine-color-default-hover': 'var(--hover)',
    '--mantine-color-default-color': 'var(--ink)',
    '--mantine-color-default-border': 'var(--line-2)',
    '--mantine-color-error': 'var(--no)',
    '--mantine-color-anchor': 'var(--ink)',
    '--mantine-color-disabled': 'var(--sunk)',
    '--mantine-color-disabled-color': 'var(--ink-3)',
    '--mantine-color-disabled-border': 'var(--line)',
    '--mantine-primary-color-filled': 'var(--ink)',
    '--mantine-primary-color-filled-hover': 'var(--ink)',
    '--mantine-primary-color-contrast': 'var(--on-ink)',
    '--mantine-color-ink-filled': 'var(--ink)',
    '--mantine-color-ink-light': 'var(--select)',
    '--mantine-color-ink-light-color': 'var(--ink)',
  };
  return { variables: {}, light: scheme, dark: scheme };
};
