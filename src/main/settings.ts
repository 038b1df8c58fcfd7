/**
 * What the app remembers for a person: settings, favourites, the unsent draft, the organisation. Never a secret. Every value is parsed
 * on the way in and out; a file that cannot be read is put aside, not overwritten.
 */
import { existsSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import ElectronStore from 'electron-store';
import { z } from 'zod';
import { type InstanceRef, instanceRef } from '../shared/access.ts';
import {
  defaultSettings,
  type Organisation,
  organisation,
  type SavedDraft,
  type Settings,
  savedDraft,
  settings,
} from '../shared/desktop.ts';
import { PlainFault } from './ports.ts';

const kept = z.object({
  settings: settings.partial().catch({}),
  favourites: z.array(instanceRef).max(200).catch([]),
  draft: savedDraft.nullable().catch(null),
  organisation: organisation.nullable().catch(null),
});
type Kept = z.infer<typeof kept>;

export type SettingsStore = {
  settings(): Settings;
  /** @throws PlainFault when it cannot be written; what was kept before is kept. */
  change(part: { [K in keyof Settings]?: Settings[K] | undefined }): Settings;
  favourites(): InstanceRef[];
  setFavourites(list: InstanceRef[]): void;
  draft(): SavedDraft | null;
  /** @throws PlainFault when it cannot be written; `draft()` has it all the same until the app quits. */
  setDraft(draft: SavedDraft | null): void;
  organisation(): Organisation | null;
  setOrganisation(value: Organisation): void;
  /** Where an unreadable file was put at start, if one was there. */
  putAside: string | null;
};

/** Moves a file that is not JSON away, so that nothing a person had is lost, and says where to. */
const putAsideBroken = (file: string, now: () => Date): string | null => {
  if (!existsSync(file)) return null;
  try {
    JSON.parse(readFileSync(file, 'utf8'));
    return null;
  } catch {
    const aside = `${file}.broken-${now().toISOString().replaceAll(':', '-')}`;
    renameSync(file, aside);
    return aside;
  }
};

/** Opens `folder/settings.json`. */
export const openSettings = (folder: string, now: () => Date): SettingsStore => {
  const putAside = putAsideBroken(path.join(folder, 'settings.json'), now);
  const store = new ElectronStore<Record<string, unknown>>({
    cwd: folder,
    name: 'settings',
    accessPropertiesByDotNotation: false,
  });
  const read = (): Kept =>
    kept.parse({ settings: {}, favourites: [], draft: null, organisation: null, ...store.store });
  let current = read();
  const write = <K extends keyof Kept>(name: K, value: Kept[K]): void => {
    try {
      store.set(name, value);
    } catch (error) {
      throw new PlainFault('The settings could not be saved, the old ones are kept. Is the disk full?', {
        cause: error,
      });
    }
    current = { ...current, [name]: value };
  };
  const all = (): Settings => settings.parse({ ...defaultSettings, ...current.settings });
  return {
    putAside,
    settings: all,
    change(part) {
      const next = settings.parse({
        ...all(),
        ...Object.fromEntries(Object.entries(part).filter(([, value]) => value !== undefined)),
      });
      write('settings', next);
      return next;
    },
    favourites: () => current.favourites,
    setFavourites: (list) => write('favourites', list),
    draft: () => current.draft,
    setDraft: (draft) => {
      // What somebody typed outlives a full disk, as long as the app runs.
      current = { ...current, draft };
      write('draft', draft);
    },
    organisation: () => current.organisation,
    setOrganisation: (value) => write('organisation', value),
  };
};
