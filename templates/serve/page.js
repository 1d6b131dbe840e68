'use strict';
// Makes a key here, has it certified for the secret of the invite, and puts both into a PKCS#12 file (RFC 7292).
// The key leaves this page in that file alone, encrypted. All that the page says stands in its template.
(() => {
  const at = (name) => document.getElementById(name);
  const text = (name) => at('say-' + name)?.textContent;
  const all = (selector) => document.querySelectorAll(selector);
  // One part of the page is seen at a time.
  const go = (name) => all('section').forEach((part) => { part.hidden = part.id !== name; });
  const tell = (kind, message) => {
    const told = at('told');
    told.textContent = text(kind) ?? message;
    told.dataset.kind = kind;
    told.focus();
  };
  const path = location.pathname;
  const id = path.split('/').pop();
  const secret = location.hash.slice(1).split('.')[0];
  const subtle = crypto.subtle;
  const bytes = async (promise) => new Uint8Array(await promise);

  // DER (X.690)
  const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
  const tag = (number, ...parts) => {
    const content = join(...parts);
    const n = content.length;
    return join([number], n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255], content);
  };
  const seq = (...parts) => tag(0x30, ...parts);
  const set = (...parts) => tag(0x31, ...parts);
  const octets = (...parts) => tag(4, ...parts);
  const within = (...parts) => tag(0xa0, ...parts);
  const int = (...digits) => tag(2, digits);
  const oid = (hex) => tag(6, hex.match(/../g).map((pair) => parseInt(pair, 16)));
  const of = (hex, ...parts) => seq(oid(hex), ...parts);
  const NULL = [5, 0];
  const RSA = '2a864886f70d01', PKCS7 = RSA + '07', PKCS9 = RSA + '09', PKCS12 = RSA + '0c0a01', NIST = '60864801650304';
  const utf16be = (word) => word.split('').flatMap((unit) => [unit.charCodeAt(0) >> 8, unit.charCodeAt(0) & 255]);
  const base64 = (plain) => btoa(String.fromCharCode(...plain));
  const plainOf = (coded) => Uint8Array.from(atob(coded), (char) => char.charCodeAt(0));
  const random = (n) => crypto.getRandomValues(new Uint8Array(n));
  const exported = (form, key) => bytes(subtle.exportKey(form, key));
  const digest = (name, plain) => bytes(subtle.digest(name, plain));

  // An integer of a signature: no zeros before it but the one that keeps it positive.
  const positive = (digits) => {
    const begin = digits.findIndex((digit) => digit);
    return tag(2, digits[begin] > 127 ? [0] : [], digits.slice(begin));
  };
  const signed = (keys, plain) => bytes(subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, keys.privateKey, plain));

  // A request for a certificate (RFC 2986). What it is to say, the service knows.
  const request = async (keys) => {
    const info = seq(int(0), seq(), await exported('spki', keys.publicKey), within());
    const rs = await signed(keys, info);
    const signature = seq(positive(rs.slice(0, 32)), positive(rs.slice(32)));
    return base64(seq(info, of('2a8648ce3d040302'), tag(3, [0], signature)));
  };

  const ROUNDS = 2048, ROUNDS_DER = int(8, 0);
  const passphrase = () => Array.from(random(20), (byte, i) =>
    (i && i % 4 === 0 ? '-' : '') + '0123456789abcdefghjkmnpqrstvwxyz'[byte & 31]).join('');

  // PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 8018).
  const sealer = async (word) => {
    const salt = random(8);
    const base = await subtle.importKey('raw', new TextEncoder().encode(word), 'PBKDF2', false, ['deriveKey']);
    const by = { name: 'PBKDF2', hash: 'SHA-256', salt, iterations: ROUNDS };
    const key = await subtle.deriveKey(by, base, { name: 'AES-CBC', length: 256 }, false, ['encrypt']);
    return async (plain) => {
      const iv = random(16);
      const kdf = of(RSA + '050c', seq(octets(salt), ROUNDS_DER, of('2a864886f70d0209', NULL)));
      const cipher = of(NIST + '012a', octets(iv));
      const sealed = await bytes(subtle.encrypt({ name: 'AES-CBC', iv }, key, plain));
      return [of(RSA + '050d', seq(kdf, cipher)), sealed];
    };
  };
  // The key of the MAC (RFC 7292 appendix B, of one block: D, salt and passphrase, hashed again and again).
  const macKey = async (word, salt) => {
    const fill = (part) => Array.from({ length: 64 }, (_, i) => part[i % part.length]);
    let key = join(Array(64).fill(3), fill(salt), fill(utf16be(word + '\0')));
    for (let round = 0; round < ROUNDS; round += 1) key = await digest('SHA-256', key);
    return subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  };
  const data = (plain) => of(PKCS7 + '01', within(octets(plain)));
  const bundle = async (keys, chain, name, word) => {
    const seal = await sealer(word);
    const [leaf, ...above] = chain;
    const attributes = set(
      of(PKCS9 + '14', set(tag(0x1e, utf16be(name)))),
      of(PKCS9 + '15', set(octets(await digest('SHA-1', leaf)))));
    const bag = (der, more) => of(PKCS12 + '03', within(of(PKCS9 + '1601', within(octets(der)))), more);
    const certificates = await seal(seq(bag(leaf, attributes), ...above.map((der) => bag(der, []))));
    const encrypted = of(PKCS7 + '06', within(seq(int(0),
      of(PKCS7 + '01', certificates[0], tag(0x80, certificates[1])))));
    const shrouded = await seal(await exported('pkcs8', keys.privateKey));
    const key = data(seq(of(PKCS12 + '02', within(seq(shrouded[0], octets(shrouded[1]))), attributes)));
    const safe = seq(encrypted, key);
    const salt = random(8);
    const mac = await bytes(subtle.sign('HMAC', await macKey(word, salt), safe));
    return seq(int(3), data(safe), seq(seq(of(NIST + '0201', NULL), octets(mac)), octets(salt), ROUNDS_DER));
  };

  // A lost answer must not lose the key that the invite belongs to: it stays in this tab until all is done.
  const P256 = { name: 'ECDSA', namedCurve: 'P-256' };
  const ownKeys = async () => {
    let jwk = JSON.parse(sessionStorage.getItem(id));
    if (!jwk) {
      jwk = await subtle.exportKey('jwk', (await subtle.generateKey(P256, true, ['sign', 'verify'])).privateKey);
      sessionStorage.setItem(id, JSON.stringify(jwk));
    }
    const { kty, crv, x, y } = jwk;
    const imported = (key, use) => subtle.importKey('jwk', key, P256, true, [use]);
    return { privateKey: await imported(jwk, 'sign'), publicKey: await imported({ kty, crv, x, y }, 'verify') };
  };

  // An answer of the service, or of what stands in the way to it.
  const post = async (to, body) => {
    const headers = { 'Content-Type': 'application/json' };
    let status = 0, said = '', json = {};
    try {
      const answer = await fetch(to, { method: 'POST', headers, body: JSON.stringify(body) });
      said = await answer.text();
      status = answer.status;
      json = JSON.parse(said);
    } catch {
      // No answer, or no JSON: the status tells which.
    }
    return { status, said, error: { kind: status ? 'busy' : 'offline' }, ...json };
  };
  const enroll = async () => {
    const keys = await ownKeys();
    const code = at('code').value.trim();
    const body = { secret, csr: await request(keys), ...(code && { code }) };
    let answer = await post(path, body);
    // Whoever waits for an operator waits on where an answer is lost.
    for (let waits = 0; answer.status === 202 || (waits && /^(0|5..)$/.test(answer.status)); waits = 1) {
      if (!waits) { at('words').textContent = answer.error.words; go('waits'); tell('waits'); }
      await new Promise((resolve) => { setTimeout(resolve, 3000); });
      answer = await post(path, body);
    }
    const refused = ({ status, error: { kind, message } }) => {
      const asks = kind === 'wrong-code';
      go(asks || !status || status > 428 ? 'begin' : kind === 'hands-out-file' ? 'file' : 'failed');
      tell(asks && !code ? 'digits' : kind, message);
      if (asks) { at('digits').hidden = false; at('code').focus(); }
    };
    if (answer.status !== 200) return refused(answer);
    const chain = answer.said.match(/-----BEGIN[^-]+-----[^-]+/g)
      .map((pem) => plainOf(pem.replace(/-----[^-]+-----|\s/g, '')));
    const word = passphrase();
    const file = await bundle(keys, chain, at('name').textContent, word);
    const save = at('save');
    if (system === 'iphone' || system === 'mac') {
      const handed = await post(path + '/profile',
        { secret, p12: base64(file), signature: base64(await signed(keys, file)) });
      if (handed.status !== 200) return refused(handed);
      save.href = handed.address;
    } else {
      save.href = URL.createObjectURL(new Blob([file], { type: 'application/x-pkcs12' }));
      save.download = 'device.p12';
    }
    at('word').textContent = word;
    at('told').textContent = '';
    go('done');
    at('done').focus();
    history.replaceState(null, '', path);
  };

  const copies = (button, from) => at(button).addEventListener('click', () =>
    navigator.clipboard.writeText(at(from).textContent).then(() => 'copied', () => 'by-hand')
      .then((how) => { at(button + '-told').textContent = text(how); }));
  copies('copy', 'word');
  copies('copy-here', 'here');
  at('save').addEventListener('click', () => sessionStorage.removeItem(id));

  // Each system has its own next steps.
  const agent = navigator.userAgent;
  const system = /iPhone|iPad|iPod/.test(agent) ? 'iphone' : /Android/.test(agent) ? 'android'
    : /Macintosh/.test(agent) ? (navigator.maxTouchPoints > 1 ? 'iphone' : 'mac')
      : /Windows/.test(agent) ? 'windows' : 'linux';
  all('.how').forEach((how) => how.id === system || at('others').append(how));
  at('here').textContent = location.href;
  if (/FBA[NV]|Instagram|Line\/|MicroMessenger|Twitter|LinkedInApp|Snapchat|; wv\)/.test(agent)) return go('inside');
  at('typed').value = secret;
  // Whoever types the end of the address stays on the page that lacks it.
  if (secret.length !== 26) addEventListener('hashchange', () => location.reload());
  if (!subtle) { go('old'); at('file').hidden = false; return; }
  if (secret.length !== 26) return go('incomplete');
  go('begin');
  at('form').addEventListener('submit', (event) => {
    event.preventDefault();
    at('go').disabled = true;
    tell('making');
    enroll().catch((error) => { go('failed'); tell('', String(error)); }).finally(() => { at('go').disabled = false; });
  });
})();
