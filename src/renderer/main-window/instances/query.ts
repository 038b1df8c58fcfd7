/** The list's filters and its pages: asked of the main process, collected here. */
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import type { Instance } from '../../../shared/access.ts';
import type { Failure } from '../../../shared/refusal.ts';
import type { InstancePage } from '../../../shared/views.ts';
import { settle, useMain } from '../app-context.ts';

export type Filters = {
  search: string;
  accounts: string[];
  regions: string[];
  tags: Record<string, string[]>;
  onlineOnly: boolean;
  sort: 'name' | '-name';
};

export const noFilters: Filters = { search: '', accounts: [], regions: [], tags: {}, onlineOnly: false, sort: 'name' };

/** How many filters are on, search and sorting aside. */
export const filtersOn = (filters: Filters): number =>
  Number(filters.accounts.length > 0) +
  Number(filters.regions.length > 0) +
  Number(filters.onlineOnly) +
  Object.values(filters.tags).filter((values) => values.length > 0).length;

/** A search waits this long for the next letter, ms. */
const searchWaitMs = 120;
const pageRows = 100;

export type InstanceList = {
  items: Instance[];
  /** The newest page's numbers and facets; null before the first answer. */
  page: InstancePage | null;
  failure: Failure | null;
  loading: boolean;
  more: () => void;
  reload: () => void;
};

/** The rows for these filters, page by page; what is shown stays until a newer answer is here. */
export const useInstances = (filters: Filters): InstanceList => {
  const { send, state, learn } = useMain();
  const refreshedAt = state.overview?.inventory.refreshedAt ?? null;
  const [turn, setTurn] = useState(0);
  const [pages, setPages] = useState<InstancePage[]>([]);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [loading, setLoading] = useState(true);
  const question = useMemo(
    () => ({
      ...filters,
      tags: Object.fromEntries(Object.entries(filters.tags).filter(([, values]) => values.length > 0)),
      limit: pageRows,
    }),
    [filters],
  );
  const current = useRef(0);
  const reading = useRef(false);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new inventory and "try again" ask the same question anew
  useEffect(() => {
    current.current += 1;
    const mine = current.current;
    setLoading(true);
    const timer = setTimeout(async () => {
      const answer = await settle(send.searchInstances(question));
      if (mine !== current.current) return;
      setLoading(false);
      setFailure(answer.ok ? null : answer.failure);
      if (!answer.ok) return;
      setPages([answer.value]);
      learn(answer.value.items);
    }, searchWaitMs);
    return () => clearTimeout(timer);
  }, [question, send, learn, refreshedAt, turn]);

  const cursor = pages.at(-1)?.nextCursor ?? null;
  const more = useCallback(async () => {
    if (cursor === null || reading.current) return;
    reading.current = true;
    const mine = current.current;
    const answer = await settle(send.searchInstances({ ...question, cursor }));
    reading.current = false;
    if (mine !== current.current) return;
    setFailure(answer.ok ? null : answer.failure);
    if (!answer.ok) return;
    setPages((before) => [...before, answer.value]);
    learn(answer.value.items);
  }, [cursor, question, send, learn]);

  const items = useMemo(() => pages.flatMap((page) => page.items), [pages]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  return { items, page: pages.at(-1) ?? null, failure, loading, more: () => void more(), reload };
};
