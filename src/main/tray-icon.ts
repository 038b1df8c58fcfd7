/**
 * The tray icon, drawn by us: the sun over the line sinks as access ends (look.md 3). Shapes are tested point by point in a square of
 * 22 units and written as PNG at 22 and 44 pixels; no picture file, no library.
 */
import { crc32, deflateSync } from 'node:zlib';
import type { TrayPicture } from './tray-menu.ts';

type Inside = (x: number, y: number) => boolean;
type Colour = readonly [red: number, green: number, blue: number];
type Layer = { inside: Inside; colour: Colour };

const ember: Colour = [0xf0, 0x8c, 0x3a];
const asking: Colour = [0x7a, 0xa2, 0xf7];

const any =
  (...shapes: Inside[]): Inside =>
  (x, y) =>
    shapes.some((shape) => shape(x, y));
const without =
  (shape: Inside, hole: Inside): Inside =>
  (x, y) =>
    shape(x, y) && !hole(x, y);
const disc =
  (centreX: number, centreY: number, radius: number): Inside =>
  (x, y) =>
    (x - centreX) ** 2 + (y - centreY) ** 2 <= radius ** 2;
/** The upper half of an ellipse that stands on the line at `base`. */
const dome =
  (base: number, halfWidth: number, height: number): Inside =>
  (x, y) =>
    y <= base && ((x - 11) / halfWidth) ** 2 + ((y - base) / height) ** 2 <= 1;
/** A stroke with round ends between two points. */
const stroke =
  ([fromX, fromY]: readonly [number, number], [toX, toY]: readonly [number, number], width: number): Inside =>
  (x, y) => {
    const lengthSquared = (toX - fromX) ** 2 + (toY - fromY) ** 2;
    const along = ((x - fromX) * (toX - fromX) + (y - fromY) * (toY - fromY)) / lengthSquared;
    const at = Math.min(1, Math.max(0, along));
    return (x - fromX - at * (toX - fromX)) ** 2 + (y - fromY - at * (toY - fromY)) ** 2 <= (width / 2) ** 2;
  };

const horizon = stroke([3, 16.5], [19, 16.5], 1.7);
const thickHorizon = stroke([3, 16.5], [19, 16.5], 2.4);
const dashes = any(
  stroke([3, 16.5], [5, 16.5], 1.7),
  stroke([8, 16.5], [9.6, 16.5], 1.7),
  stroke([12.6, 16.5], [14.2, 16.5], 1.7),
  stroke([17, 16.5], [19, 16.5], 1.7),
);
const outline = without(dome(13.2, 6.7, 6.7), dome(12.6, 5.3, 5.3));

/** The parts of each picture, in ink unless they stand for time that is running out. */
const partsOf = (picture: TrayPicture, ink: Colour, time: Colour): Layer[] => {
  const parts: Record<TrayPicture, Layer[]> = {
    none: [{ inside: any(outline, horizon), colour: ink }],
    live: [{ inside: any(dome(13.2, 6.6, 6.6), horizon), colour: ink }],
    soon: [{ inside: any(dome(13.4, 6.6, 4.4), horizon), colour: time }],
    last: [{ inside: any(dome(13.4, 6.2, 2.2), thickHorizon), colour: time }],
    ending: [{ inside: any(dashes, without(disc(11, 10.6, 3.3), disc(11, 10.6, 1.9))), colour: ink }],
    'sign-in': [{ inside: any(outline, horizon, stroke([4, 3.5], [18, 12.5], 1.5)), colour: ink }],
  };
  return parts[picture];
};

const samples = 4;

/** How much of each pixel a shape covers, 0 to 1. */
const coverage = (inside: Inside, pixelX: number, pixelY: number, scale: number): number => {
  let hits = 0;
  for (let index = 0; index < samples * samples; index += 1) {
    const x = (pixelX + ((index % samples) + 0.5) / samples) / scale;
    const y = (pixelY + (Math.floor(index / samples) + 0.5) / samples) / scale;
    if (inside(x, y)) hits += 1;
  }
  return hits / (samples * samples);
};

const rasterise = (layers: readonly Layer[], size: number): Buffer => {
  const stride = size * 4 + 1;
  const rows = Buffer.alloc(size * stride);
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      let alpha = 0;
      let colour: Colour = [0, 0, 0];
      for (const layer of layers) {
        const covered = coverage(layer.inside, x, y, size / 22);
        if (covered > 0) colour = layer.colour;
        alpha = Math.max(alpha, covered);
      }
      rows.set([...colour, Math.round(alpha * 255)], y * stride + 1 + x * 4);
    }
  }
  return rows;
};

const chunk = (type: string, data: Buffer): Buffer => {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc32(body), body.length + 4);
  return whole;
};

const png = (layers: readonly Layer[], size: number): Buffer => {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  // 8 bits a channel, red green blue alpha, no interlace.
  header.set([8, 6, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const pixels = deflateSync(rasterise(layers, size));
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]);
};

export type TrayIconWish = {
  picture: TrayPicture;
  /** A dot: a request waits for this person. */
  waits: boolean;
  /** `template`: black with transparency, which macOS colours itself; else ink for a dark or light desktop. */
  scheme: 'template' | 'dark' | 'light';
};

/** PNG data for 1x and 2x screens. */
export const trayIcon = ({ picture, waits, scheme }: TrayIconWish): { normal: Buffer; double: Buffer } => {
  const ink: Colour = scheme === 'dark' ? [0xf2, 0xf0, 0xec] : [0x1b, 0x1a, 0x18];
  const black: Colour = [0, 0, 0];
  const own = scheme === 'template' ? partsOf(picture, black, black) : partsOf(picture, ink, ember);
  const dot: Layer[] = waits ? [{ inside: disc(18, 5, 3.4), colour: scheme === 'template' ? black : asking }] : [];
  // The dot keeps a gap around it, so that it reads as one in a single colour too.
  const layers = waits ? own.map(({ inside, colour }) => ({ inside: without(inside, disc(18, 5, 4.6)), colour })) : own;
  return { normal: png([...layers, ...dot], 22), double: png([...layers, ...dot], 44) };
};
