'use strict';
// Asks for the streams every 1.5 s and for their history every 10 s, while the page is visible. Texts become text nodes.
const INTERVAL = 1500, HISTORY = 10000, HOUR = 3600;
const at = id => document.getElementById(id);
const count = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
let history = {}, chosen = null, historyAt = 0;

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (name) made.className = name;
  return made;
}

function draw(svg, points, which) {
  const now = Date.now() / 1000;
  const known = points.filter(point => point[which] !== null && now - point[0] <= HOUR);
  const largest = Math.max(1, ...known.map(point => point[which]));
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
  line.setAttribute('points', known.map(point =>
    `${(100 * (1 - (now - point[0]) / HOUR)).toFixed(2)},${(100 - 96 * point[which] / largest).toFixed(2)}`).join(' '));
  svg.setAttribute('viewBox', '0 0 100 100');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `at most ${count.format(largest)}`);
  svg.replaceChildren(line);
}

function chart(name, which) {
  const cell = element('td'), svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  draw(svg, history[name] || [], which);
  cell.append(svg);
  return cell;
}

function row(stream) {
  const made = element('tr'), status = stream.retrying ? 'retrying' : stream.status;
  made.setAttribute('aria-selected', stream.name === chosen);
  made.tabIndex = 0;
  const show = () => { chosen = chosen === stream.name ? null : stream.name; look(); };
  made.addEventListener('click', show);
  made.addEventListener('keydown', event => { if (event.key === 'Enter') show(); });
  const why = stream.reason || (stream.last_error ? `(over) ${stream.last_error}` : '');
  made.append(
    element('td', stream.name), element('td', status, status),
    element('td', stream.status === 'running' ? count.format(stream.rate) : '', 'number'), chart(stream.name, 1),
    element('td', stream.lag === null ? '' : count.format(stream.lag), 'number'), chart(stream.name, 2),
    element('td', stream.catch_up, 'words'), element('td', stream.failed ? count.format(stream.failed) : '', 'number'),
    element('td', stream.sent ? `${(stream.queries / stream.sent).toFixed(1)} : 1` : '', 'number'),
    element('td', why, stream.reason ? 'text' : 'text over'));
  return made;
}

function fill(id, rows) {
  at(id).replaceChildren(...(rows.length ? rows : [['none']]).map(cells => {
    const made = element('tr');
    made.append(...cells.map(cell => element('td', cell, 'text')));
    return made;
  }));
}

async function ask(path) {
  const answer = await fetch(path, { cache: 'no-store' });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return answer.json();
}

async function details(stream) {
  at('details').hidden = !stream;
  if (!stream) return;
  const known = await ask(`stream.json?name=${encodeURIComponent(stream.name)}`);
  if (!known || stream.name !== chosen) return;
  at('name').textContent = stream.name;
  at('text').textContent = `topic ${stream.topic}, ${count.format(stream.messages)} messages, ${stream.retries} retries`;
  draw(at('rate-chart'), history[stream.name] || [], 1);
  draw(at('lag-chart'), history[stream.name] || [], 2);
  const place = m => `${m.topic === stream.topic ? '' : `${m.topic}, `}partition ${m.partition}, offset ${m.offset}`;
  fill('errors', known.errors.map(e => [e.time, e.action, place(e), e.error]));
  fill('parked', known.parked.map(p => [place(p), `${p.attempts} attempts`, p.error]));
  fill('texts', Object.entries(known.texts));
}

async function look() {
  try {
    if (Date.now() - historyAt >= HISTORY) {
      history = await ask('history.json');
      historyAt = Date.now();
    }
    const found = await ask('streams.json'), streams = found.streams;
    const many = status => streams.filter(stream => stream.status === status).length;
    const parts = ['running', 'stopped', 'error'].filter(many).map(status => `${many(status)} ${status}`);
    const sum = key => count.format(streams.reduce((all, stream) => all + (stream[key] || 0), 0));
    at('summary').textContent = [`${streams.length} streams`, ...parts, `${sum('rate')} messages/s`, `lag ${sum('lag')}`,
      found.time ? new Date(1000 * found.time).toLocaleTimeString() : 'not read yet'].join(' · ');
    say(found.fault && `Memgraph cannot be read: ${found.fault}`);
    at('streams').replaceChildren(...streams.map(row));
    await details(streams.find(stream => stream.name === chosen));
  } catch (error) {
    say(`The shim does not answer: ${error.message}`);
  }
}

function say(text) {
  at('fault').hidden = !text;
  at('fault').textContent = text || '';
}

setInterval(() => { if (!document.hidden) look(); }, INTERVAL);
document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
look();
