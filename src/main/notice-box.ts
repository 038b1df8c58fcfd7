/** The inbox: the backend's notices together with the app's own, newest first. */
import { randomUUID } from 'node:crypto';
import type { Notice } from '../shared/access.ts';
import type { StateHolder } from './app-state.ts';

export type NoticeBox = {
  add(notice: Notice): void;
  /** Something that was started from the tray did not work: says so where a person looks next. */
  addFailure(options: { title: string; body: string; target: Notice['target'] }): void;
  markRead(noticeIds: readonly string[]): void;
  /** Puts both lists into the snapshot again, after the overview has changed. */
  merge(): void;
};

const mostKept = 100;

export const createNoticeBox = (state: StateHolder, now: () => Date): NoticeBox => {
  let own: Notice[] = [];
  const merge = (): void => {
    const all = [...own, ...(state.get().overview?.notices ?? [])];
    state.set({ notices: all.sort((one, other) => Date.parse(other.at) - Date.parse(one.at)) });
  };
  const add = (notice: Notice): void => {
    own = [notice, ...own].slice(0, mostKept);
    merge();
  };
  return {
    add,
    addFailure: ({ title, body, target }) =>
      add({ id: randomUUID(), at: now().toISOString(), kind: 'failed', title, body, target, readAt: null }),
    markRead(noticeIds) {
      if (noticeIds.length === 0) return;
      own = own.map((notice) => (noticeIds.includes(notice.id) ? { ...notice, readAt: now().toISOString() } : notice));
      merge();
    },
    merge,
  };
};
