/**
 * The main window's bridge: one function an intent, and the snapshot. Nothing of Electron is exposed. Types only are taken from the
 * contract, so that no schema code runs in a preload; `satisfies` keeps the list whole.
 */
import { contextBridge } from 'electron';
import type { AppState, channels, MainBridge, MainIntent } from '../shared/desktop.ts';
import { namesOf, pushed, senders } from './bridge.ts';

const intents = {
  setOrganisation: true,
  signIn: true,
  listProfiles: true,
  cancelSignIn: true,
  reopenBrowser: true,
  signOut: true,
  searchInstances: true,
  refreshInventory: true,
  previewRequest: true,
  submitRequest: true,
  withdrawRequest: true,
  openCard: true,
  claimRequest: true,
  decide: true,
  connect: true,
  extend: true,
  endGrant: true,
  whatStays: true,
  endAllOn: true,
  listLive: true,
  listEndings: true,
  listSwitches: true,
  openSwitch: true,
  previewSwitch: true,
  findTargets: true,
  pullSwitch: true,
  liftSwitch: true,
  listFindings: true,
  endFound: true,
  readHealth: true,
  showTerminal: true,
  listAudit: true,
  openStory: true,
  exportAudit: true,
  markRead: true,
  saveDraft: true,
  saveSettings: true,
  toggleFavourite: true,
  retryBackend: true,
} as const satisfies Record<MainIntent, true>;

const state: (typeof channels)['mainState'] = 'main:state';
const ready: (typeof channels)['mainReady'] = 'main:ready';

const bridge: MainBridge = {
  send: senders<MainBridge['send']>('main', namesOf(intents)),
  onState: pushed<AppState>(state, ready),
};
contextBridge.exposeInMainWorld('curfew', bridge);
