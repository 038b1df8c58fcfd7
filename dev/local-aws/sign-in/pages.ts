/** The pages a person sees in the browser: plain HTML without script, and honest about what answers here. */
import type { World } from '../world.ts';

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
/** Text made safe for HTML, also inside attributes. */
const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (one) => escapes[one] ?? one);

const style = `
:root { color-scheme: light dark; --ink: #1b1f24; --ink-2: #5a626c; --bg: #f5f6f7; --surface: #fff; --line: #d9dde2; --mark: #8a5300; --tint: #fff5e2; --go: #1f5fbf; --on-go: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --ink-2: #a0a8b2; --bg: #121417; --surface: #1b1e22; --line: #33383f; --mark: #f0c36d; --tint: #2c2415; --go: #7db0ff; --on-go: #0d1420; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { width: min(34rem, 100% - 2rem); margin: 6vh auto; padding: 1.75rem; background: var(--surface); border: 1px solid var(--line); border-radius: 12px; }
h1 { font-size: 1.25rem; line-height: 1.3; margin: 0 0 .25rem; }
p { margin: 0 0 1rem; color: var(--ink-2); }
.note { margin: 0 0 1.25rem; padding: .6rem .8rem; border-radius: 8px; background: var(--tint); color: var(--mark); font-size: .875rem; }
fieldset { border: 1px solid var(--line); border-radius: 8px; margin: 0 0 1.25rem; padding: .25rem .5rem; max-height: 31rem; overflow: auto; }
legend { padding: 0 .4rem; font-weight: 600; }
label.person { display: grid; grid-template-columns: auto 1fr auto; gap: 0 .7rem; padding: .45rem .4rem; align-items: baseline; cursor: pointer; }
label.person + label.person { border-top: 1px solid var(--line); }
label.person small { color: var(--ink-2); text-align: right; }
label.person small.id { grid-column: 2 / 4; text-align: left; }
label.code { display: block; margin: 0 0 1.25rem; font-weight: 600; }
input[type=text] { display: block; width: 100%; margin-top: .3rem; padding: .5rem .6rem; font: inherit; letter-spacing: .08em; color: inherit; background: var(--bg); border: 1px solid var(--line); border-radius: 8px; }
.row { display: flex; gap: .6rem; }
button { font: inherit; padding: .5rem 1.1rem; border-radius: 8px; border: 1px solid var(--line); background: transparent; color: inherit; cursor: pointer; }
button.go { background: var(--go); border-color: var(--go); color: var(--on-go); font-weight: 600; }
.wrong { color: var(--ink); border-left: 4px solid #c0392b; padding-left: .7rem; }
`;

const page = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
<div class="note">This is local-aws on your own machine, not AWS. Nobody here is real and no password is asked.</div>
${body}
</main>
</body>
</html>
`;

/** A page that only says something. */
export const messagePage = (title: string, text: string): string =>
  page(title, `<h1>${escapeHtml(title)}</h1><p>${escapeHtml(text)}</p>`);

/**
 * The page that asks who signs in and whether the client may act for them. Fields of the form (POST, urlencoded):
 * `user_name`, `decision` = `allow` | `deny`, the hidden fields as they came and, for a device code, `user_code`.
 */
export const consentPage = (options: {
  world: World;
  clientName: string | null;
  action: string;
  hidden: Record<string, string>;
  /** Ask for a device code, filled in with this text. */
  userCode?: string;
  problem?: string;
}): string => {
  const { world, clientName } = options;
  const who = clientName === null ? 'A device' : `“${clientName}”`;
  const hidden = Object.entries(options.hidden)
    .map(([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`)
    .join('\n');
  const people = world.people
    .map((person, at) => {
      const about = person.enabled ? person.groups.join(', ') || 'no group' : 'disabled';
      return `<label class="person"><input type="radio" name="user_name" value="${escapeHtml(person.userName)}" aria-labelledby="n${at}" aria-describedby="d${at}" required>
<span id="n${at}">${escapeHtml(person.displayName)}</span><small id="d${at}">${escapeHtml(about)}</small><small class="id">${escapeHtml(person.userName)}</small></label>`;
    })
    .join('\n');
  const code =
    options.userCode === undefined
      ? ''
      : `<label class="code">Code shown on the device<input type="text" name="user_code" value="${escapeHtml(options.userCode)}" autocomplete="off" required></label>`;
  const problem =
    options.problem === undefined ? '' : `<p class="wrong" role="alert">${escapeHtml(options.problem)}</p>`;
  return page(
    `Sign in to ${world.organisation.name}`,
    `<h1>Sign in to ${escapeHtml(world.organisation.name)}</h1>
<p>${escapeHtml(who)} asks to reach your AWS accounts.</p>
${problem}
<form method="post" action="${escapeHtml(options.action)}">
${hidden}
${code}
<fieldset><legend>Who are you?</legend>
${people}
</fieldset>
<div class="row"><button class="go" name="decision" value="allow">Allow access</button>
<button name="decision" value="deny" formnovalidate>Deny</button></div>
</form>`,
  );
};
