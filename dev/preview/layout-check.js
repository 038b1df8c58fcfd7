// What is wrong with the layout of the page as it stands, for pictures.ts: text that is cut off or covered, what cannot be reached by a
// click, what scrolls sideways. Runs in the page. An ellipsis is no finding: the whole name is shown on focus or as a title.
const maySlide = '[aria-label="Access policy change"], [aria-label="The whole access policy"], textarea, input, pre';
const actions = 'button, a[href], input, textarea, [role="radio"], [role="menuitem"], [tabindex="0"]';

const isSeen = (element) =>
  element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) &&
  !/inset\(50%\)|rect\(/.test(hides(element));
const hides = (element) => {
  for (let at = element; at !== null; at = at.parentElement) {
    const { clipPath, clip } = getComputedStyle(at);
    if (clipPath !== 'none') return clipPath;
    if (clip !== 'auto') return clip;
  }
  return '';
};
const nameOf = (element) => {
  const words = (element.getAttribute('aria-label') ?? element.textContent ?? '').trim().replace(/\s+/g, ' ');
  return `${element.localName} "${words.slice(0, 60)}"`;
};
const ancestors = function* (element) {
  for (let at = element; at !== null && at !== document.documentElement; at = at.parentElement) yield at;
};
/** What a person can act on now: the topmost dialog, or the whole page. */
const stage = () => [...document.querySelectorAll('[role="dialog"]')].filter(isSeen).at(-1) ?? document.body;

const textNodes = function* (root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    if (node.data.trim() !== '' && node.parentElement !== null && isSeen(node.parentElement)) yield node;
  }
};
const boxOf = (node) => {
  const range = document.createRange();
  range.selectNodeContents(node);
  return range.getBoundingClientRect();
};
/** The part of the text's box that its ellipsis leaves. */
const leftOf = (node) => {
  const box = boxOf(node);
  let [left, right] = [box.left, box.right];
  for (const element of ancestors(node.parentElement)) {
    if (getComputedStyle(element).textOverflow !== 'ellipsis') continue;
    const frame = element.getBoundingClientRect();
    left = Math.max(left, frame.left);
    right = Math.min(right, frame.right);
  }
  return new DOMRect(left, box.top, right - left, box.height);
};
const slides = (value) => value === 'auto' || value === 'scroll';

/** The way in which a box that does not scroll cuts this text off, or null. */
const cutBy = (node) => {
  const text = boxOf(node);
  for (const element of ancestors(node.parentElement)) {
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const wide = text.right > box.right + 1.5 || text.left < box.left - 1.5;
    const high = text.bottom > box.bottom + 1.5 || text.top < box.top - 1.5;
    if (style.position === 'fixed') return null;
    if (slides(style.overflowX) || slides(style.overflowY)) return null;
    const hidden = style.overflowX !== 'visible';
    if (hidden && wide && style.textOverflow === 'ellipsis') return null;
    if (hidden && (wide || high)) return `cut by ${element.localName}.${element.className}`;
  }
  if (text.right > innerWidth + 1 || text.left < -1) return 'outside of the window';
  return null;
};

/** What lies over the middle of this box, or null: nothing strange does. */
const coveredBy = (box, owner) => {
  const x = box.left + box.width / 2;
  const y = box.top + Math.min(box.height / 2, 12);
  if (x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) return 'the edge of the window';
  const top = document.elementFromPoint(x, y);
  if (top === null || top === owner || owner.contains(top) || top.contains(owner)) return null;
  const label = owner.closest(
    'label, [data-checked], .mantine-Checkbox-root, .mantine-Switch-root, .mantine-Input-wrapper, tr',
  );
  return label?.contains(top) ? null : nameOf(top);
};

const textProblems = function* (root) {
  for (const node of textNodes(root)) {
    const owner = node.parentElement;
    const words = `text "${node.data.trim().slice(0, 60)}"`;
    owner.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    const cut = cutBy(node);
    if (cut !== null) yield `${words} is ${cut}`;
    if (owner.closest(maySlide) !== null) continue;
    const left = leftOf(node);
    const over = left.width < 4 ? null : coveredBy(left, owner);
    if (over !== null) yield `${words} is covered by ${over}`;
  }
};
const actionProblems = function* (root) {
  for (const element of root.querySelectorAll(actions)) {
    if (!isSeen(element) || element.disabled) continue;
    element.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    const box = element.getBoundingClientRect();
    const over = box.width === 0 || box.height > innerHeight ? null : coveredBy(box, element);
    if (over !== null) yield `${nameOf(element)} cannot be reached: ${over}`;
  }
};
const sidewaysProblems = function* (root) {
  for (const element of [document.documentElement, ...root.querySelectorAll('*')]) {
    if (element.scrollWidth <= element.clientWidth + 1 || element.matches(maySlide)) continue;
    const whole = element === document.documentElement;
    if (whole || slides(getComputedStyle(element).overflowX)) yield `${nameOf(element)} scrolls sideways`;
  }
};

globalThis.layoutProblems = () => {
  const root = stage();
  const found = new Set([...textProblems(root), ...actionProblems(root), ...sidewaysProblems(root)]);
  return [...found];
};
