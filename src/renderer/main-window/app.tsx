/** The main window: takes the snapshot, keeps where we are and the draft, and draws the right screen. */
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { type Instance, refKey } from '../../shared/access.ts';
import type { AppState, MainBridge, Place, SavedDraft } from '../../shared/desktop.ts';
import { Look } from '../look/look.tsx';
import { type Main, MainContext, settle } from './app-context.ts';
import { draftToAdopt, emptyDraft } from './request/draft.ts';
import { Shell } from './shell/shell.tsx';
import { SignIn } from './sign-in/sign-in.tsx';

/** A draft is written to disk this long after the last key, ms. */
const saveDraftAfterMs = 400;

const useAppState = (bridge: MainBridge): AppState | null => {
  const [state, setState] = useState<AppState | null>(null);
  useEffect(() => bridge.onState(setState), [bridge]);
  return state;
};

/** Everything a person typed is kept: in the window at once, on disk a moment later. */
const useDraft = (bridge: MainBridge, saved: SavedDraft | null): [SavedDraft, (draft: SavedDraft) => void] => {
  const [draft, setDraft] = useState(saved ?? emptyDraft);
  const written = useRef(JSON.stringify(draft));
  useEffect(() => {
    const text = JSON.stringify(draft);
    if (text === written.current) return undefined;
    const timer = setTimeout(() => {
      written.current = text;
      void settle(bridge.send.saveDraft({ draft: text === JSON.stringify(emptyDraft) ? null : draft }));
    }, saveDraftAfterMs);
    return () => clearTimeout(timer);
  }, [bridge, draft]);
  return [draft, setDraft];
};

const cannotAct = (state: AppState): string | null => {
  if (state.signIn.state !== 'signed-in') return 'needs a sign-in';
  if (state.backend.state === 'unreachable') return 'needs the backend';
  return null;
};

const useKnown = (state: AppState): [Map<string, Instance>, (instances: Instance[]) => void] => {
  const [met, setMet] = useState<Map<string, Instance>>(new Map());
  const learn = useCallback((instances: Instance[]) => {
    setMet((before) => {
      const after = new Map(before);
      for (const instance of instances) after.set(refKey(instance), instance);
      return after;
    });
  }, []);
  const { overview } = state;
  const known = useMemo(() => {
    const all = new Map<string, Instance>();
    for (const { instances } of [...(overview?.requests ?? []), ...(overview?.grants ?? [])]) {
      for (const instance of instances) all.set(refKey(instance), instance);
    }
    for (const [key, instance] of met) all.set(key, instance);
    return all;
  }, [overview, met]);
  return [known, learn];
};

const Signed = ({ state, bridge }: { state: AppState; bridge: MainBridge }) => {
  const [where, setWhere] = useState<{ place: Place; id: string | null }>(() => ({
    place: state.navigation?.place ?? 'instances',
    id: state.navigation?.id ?? null,
  }));
  const [draft, setDraft] = useDraft(bridge, state.draft);
  const [formOpen, setFormOpen] = useState(false);
  const [known, learn] = useKnown(state);
  const [lookAround, setLookAround] = useState(false);

  // A notification or the tray says where to go: each `seq` once.
  const followed = useRef<number | null>(null);
  useEffect(() => {
    const { navigation } = state;
    if (navigation === null || navigation.seq === followed.current) return;
    followed.current = navigation.seq;
    setWhere({ place: navigation.place, id: navigation.id });
    const adopted = draftToAdopt(draft, state.draft, navigation.place);
    if (adopted === null) return;
    setDraft(adopted);
    setFormOpen(true);
  }, [state, draft, setDraft]);

  const go = useCallback((place: Place, id: string | null = null) => setWhere({ place, id }), []);
  const whyNot = cannotAct(state);
  const main: Main = {
    state,
    send: bridge.send,
    place: where.place,
    placeId: where.id,
    go,
    draft,
    setDraft,
    formOpen,
    setFormOpen,
    known,
    learn,
    meId: state.overview?.me.person.id ?? null,
    canAct: whyNot === null,
    whyNot,
  };
  const signedIn = state.signIn.state === 'signed-in';
  useEffect(() => {
    if (signedIn) setLookAround(false);
  }, [signedIn]);
  const knowsSomething = state.overview !== null;
  return (
    <MainContext value={main}>
      {signedIn || (lookAround && knowsSomething) ? (
        <Shell onSignIn={() => setLookAround(false)} />
      ) : (
        <SignIn {...(knowsSomething ? { onLookAround: () => setLookAround(true) } : {})} />
      )}
    </MainContext>
  );
};

/** The whole window. `bridge` is what the preload exposes. */
export const App = ({ bridge }: { bridge: MainBridge }) => {
  const state = useAppState(bridge);
  return (
    <Look scheme={state?.settings.scheme ?? 'system'}>
      {state !== null && <Signed state={state} bridge={bridge} />}
    </Look>
  );
};
