/** Native notifications for what is in the inbox anyway. A click opens the very thing. */
import { Notification } from 'electron';
import type { Notice } from '../shared/access.ts';
import type { Place } from '../shared/desktop.ts';

/** Where a notice leads. */
export const placeOf = (notice: Notice): { place: Place; id: string | null } => {
  if (notice.target.kind === 'sign-in') return { place: 'settings', id: null };
  const { kind, id } = notice.target;
  if (kind === 'grant') return { place: 'access', id };
  if (kind === 'finding' || kind === 'switch') return { place: 'admin', id };
  return { place: notice.kind === 'to-approve' ? 'approvals' : 'access', id };
};

// Linux notification servers read the body as markup (threats APP-08); the others show it as it is.
const escaped = (text: string): string =>
  process.platform === 'linux' ? text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;') : text;

export type Notifier = {
  /** Shows what is unread, recent and not shown yet. */
  consider(notices: readonly Notice[]): void;
};

/**
 * @param options.since older notices are left to the inbox: a start is no reason to repeat last week.
 */
export const createNotifier = (options: {
  since: Date;
  enabled: () => boolean;
  open: (notice: Notice) => void;
}): Notifier => {
  const shown = new Set<string>();
  // A notification that is collected as garbage cannot be clicked any more.
  const held = new Set<Notification>();
  const show = (notice: Notice): void => {
    const urgent = notice.kind === 'ending-soon' && notice.title.startsWith('1 min');
    const native = new Notification({
      title: notice.title,
      body: escaped(notice.body),
      urgency: urgent ? 'critical' : 'normal',
      silent: true,
    });
    held.add(native);
    native.on('click', () => {
      held.delete(native);
      options.open(notice);
    });
    native.on('close', () => held.delete(native));
    native.show();
  };
  return {
    consider(notices) {
      for (const notice of notices) {
        if (shown.has(notice.id) || notice.readAt !== null) continue;
        shown.add(notice.id);
        const isRecent = Date.parse(notice.at) >= options.since.getTime();
        if (isRecent && options.enabled() && Notification.isSupported()) show(notice);
      }
    },
  };
};
