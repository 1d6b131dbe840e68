'use strict';
// Makes a key here, has it certified for the secret of the invite, and puts both into a PKCS#12 file (RFC 7292).
// The key leaves this page in that file alone, encrypted.
(() => {
  const at = (name) => document.getElementById(name);
  const show = (name, on = true) => { at(name).hidden = !on; };
  const id = location.pathname.split('/').pop();
  const secret = location.hash.slice(1).split('.')[0];
  const subtle = crypto.subtle;

  // DER (X.690)
  const join = (...parts) => {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let end = 0;
    for (const part of parts) { whole.set(part, end); end += part.length; }
    return whole;
  };
  const tag = (number, ...parts) => {
    const content = join(...parts);
    const n = content.length;
    const length = n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255];
    return join([number, ...length], content);
  };
  const seq = (...parts) => tag(0x30, ...parts);
  const set = (...parts) => tag(0x31, ...parts);
  const octets = (...parts) => tag(4, ...parts);
  const within = (...parts) => tag(0xa0, ...parts);
  const int = (...bytes) => tag(2, bytes);
  const hex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));
  const oid = (text) => tag(6, hex(text));
  const NULL = [5, 0];
  const PKCS7 = '2a864886f70d0107', PKCS9 = '2a864886f70d0109', PKCS12 = '2a864886f70d010c0a01';
  const utf8 = new TextEncoder();
  const utf16be = (text) => Uint8Array.from(text.split('').flatMap((unit) => [unit.charCodeAt(0) >> 8, unit.charCodeAt(0) & 255]));
  const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
  const bytesOf = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const random = (n) => crypto.getRandomValues(new Uint8Array(n));
  const digest = async (name, bytes) => new Uint8Array(await subtle.digest(name, bytes));

  // An integer of a signature: no zeros before it but the one that keeps it positive.
  const positive = (bytes) => {
    let begin = 0;
    while (begin < 31 && !bytes[begin]) begin += 1;
    const rest = bytes.slice(begin);
    return tag(2, rest[0] > 127 ? [0] : [], rest);
  };
  const ECDSA = { name: 'ECDSA', hash: 'SHA-256' };
  const signed = async (key, bytes) => new Uint8Array(await subtle.sign(ECDSA, key, bytes));

  // A request for a certificate (RFC 2986). What it is to say, the service knows.
  const request = async (keys) => {
    const spki = new Uint8Array(await subtle.exportKey('spki', keys.publicKey));
    const info = seq(int(0), seq(), spki, within());
    const rs = await signed(keys.privateKey, info);
    const signature = seq(positive(rs.slice(0, 32)), positive(rs.slice(32)));
    return base64(seq(info, seq(oid('2a8648ce3d040302')), tag(3, [0], signature)));
  };

  const ROUNDS = 2048, ROUNDS_DER = int(8, 0);
  const passphrase = () => Array.from(random(20), (byte, i) =>
    (i && i % 4 === 0 ? '-' : '') + '0123456789abcdefghjkmnpqrstvwxyz'[byte & 31]).join('');

  // PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 8018).
  const sealer = async (word) => {
    const salt = random(8);
    const base = await subtle.importKey('raw', utf8.encode(word), 'PBKDF2', false, ['deriveKey']);
    const by = { name: 'PBKDF2', hash: 'SHA-256', salt, iterations: ROUNDS };
    const key = await subtle.deriveKey(by, base, { name: 'AES-CBC', length: 256 }, false, ['encrypt']);
    return async (plain) => {
      const iv = random(16);
      const kdf = seq(oid('2a864886f70d01050c'), seq(octets(salt), ROUNDS_DER, seq(oid('2a864886f70d0209'), NULL)));
      const cipher = seq(oid('60864801650304012a'), octets(iv));
      const sealed = new Uint8Array(await subtle.encrypt({ name: 'AES-CBC', iv }, key, plain));
      return [seq(oid('2a864886f70d01050d'), seq(kdf, cipher)), sealed];
    };
  };
  // The key of the MAC (RFC 7292 appendix B, of one block: D, salt and passphrase, hashed again and again).
  const macKey = async (word, salt) => {
    const text = utf16be(word + '\0');
    const fill = (bytes) => Uint8Array.from({ length: Math.ceil(bytes.length / 64) * 64 }, (_, i) => bytes[i % bytes.length]);
    let key = join(new Uint8Array(64).fill(3), fill(salt), fill(text));
    for (let round = 0; round < ROUNDS; round += 1) key = await digest('SHA-256', key);
    return subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  };
  const data = (bytes) => seq(oid(PKCS7 + '01'), within(octets(bytes)));
  const bundle = async (keys, chain, name, word) => {
    const seal = await sealer(word);
    const [leaf, ...above] = chain;
    const local = await digest('SHA-1', leaf);
    const utf16 = utf16be(name);
    const attributes = set(
      seq(oid(PKCS9 + '14'), set(tag(0x1e, utf16))),
      seq(oid(PKCS9 + '15'), set(octets(local))));
    const bag = (der, more) => seq(oid(PKCS12 + '03'), within(seq(oid(PKCS9 + '1601'), within(octets(der)))), more);
    const certificates = await seal(seq(bag(leaf, attributes), ...above.map((der) => bag(der, []))));
    const encrypted = seq(oid(PKCS7 + '06'), within(seq(int(0),
      seq(oid(PKCS7 + '01'), certificates[0], tag(0x80, certificates[1])))));
    const plain = new Uint8Array(await subtle.exportKey('pkcs8', keys.privateKey));
    const shrouded = await seal(plain);
    const key = data(seq(seq(oid(PKCS12 + '02'), within(seq(shrouded[0], octets(shrouded[1]))), attributes)));
    const safe = seq(encrypted, key);
    const salt = random(8);
    const mac = new Uint8Array(await subtle.sign('HMAC', await macKey(word, salt), safe));
    return seq(int(3), data(safe), seq(seq(seq(oid('608648016503040201'), NULL), octets(mac)), octets(salt), ROUNDS_DER));
  };

  // A lost answer must not lose the key that the invite belongs to: it stays in this tab until all is done.
  const P256 = { name: 'ECDSA', namedCurve: 'P-256' };
  const ownKeys = async () => {
    const kept = sessionStorage.getItem(id);
    if (kept) {
      const [own, open] = JSON.parse(kept).map(bytesOf);
      return {
        privateKey: await subtle.importKey('pkcs8', own, P256, true, ['sign']),
        publicKey: await subtle.importKey('spki', open, P256, true, ['verify']),
      };
    }
    const keys = await subtle.generateKey(P256, true, ['sign', 'verify']);
    const parts = [await subtle.exportKey('pkcs8', keys.privateKey), await subtle.exportKey('spki', keys.publicKey)];
    sessionStorage.setItem(id, JSON.stringify(parts.map((part) => base64(new Uint8Array(part)))));
    return keys;
  };

  const post = (path, body) => fetch(path, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  });
  const tell = (text) => { at('told').textContent = text; at('told').focus(); };
  const enroll = async () => {
    const keys = await ownKeys();
    const code = at('code').value.trim();
    const answer = await post(location.pathname, { secret, csr: await request(keys), ...(code && { code }) });
    if (answer.status === 202) {
      tell((await answer.json()).error.message);
      await new Promise((resolve) => { setTimeout(resolve, 3000); });
      return enroll();
    }
    if (!answer.ok) {
      const { error } = await answer.json();
      tell(error.message);
      if (error.kind === 'wrong-code') { show('digits'); at('code').focus(); }
      return;
    }
    const chain = (await answer.text()).match(/-----BEGIN[^-]+-----[^-]+/g)
      .map((pem) => bytesOf(pem.replace(/-----[^-]+-----|\s/g, '')));
    const word = passphrase();
    const file = await bundle(keys, chain, at('name').textContent, word);
    const save = at('save');
    if (system === 'iphone' || system === 'mac') {
      const handed = await post(location.pathname + '/profile',
        { secret, p12: base64(file), signature: base64(await signed(keys.privateKey, file)) });
      const said = await handed.json();
      if (!handed.ok) return tell(said.error.message);
      save.href = said.address;
    } else {
      save.href = URL.createObjectURL(new Blob([file], { type: 'application/x-pkcs12' }));
      save.download = 'device.p12';
    }
    at('word').textContent = word;
    show('begin', false);
    show('done');
    at('done').focus();
    history.replaceState(null, '', location.pathname);
  };

  // Each system has its own next steps.
  const agent = navigator.userAgent;
  const system = /iPhone|iPad|iPod/.test(agent) ? 'iphone' : /Android/.test(agent) ? 'android'
    : /Macintosh/.test(agent) ? (navigator.maxTouchPoints > 1 ? 'iphone' : 'mac')
      : /Windows/.test(agent) ? 'windows' : 'linux';
  show(system);
  show('script');
  if (/FBA[NV]|Instagram|Line\/|MicroMessenger|Twitter|LinkedInApp|Snapchat|; wv\)/.test(agent)) {
    show('begin', false); show('inside'); return;
  }
  if (!subtle || secret.length !== 26) { show('begin', false); show(subtle ? 'incomplete' : 'old'); return; }
  at('form').addEventListener('submit', (event) => {
    event.preventDefault();
    at('go').disabled = true;
    tell('Making a key …');
    enroll().catch((error) => tell(String(error.message || error))).finally(() => { at('go').disabled = false; });
  });
  at('copy').addEventListener('click', async () => {
    await navigator.clipboard.writeText(at('word').textContent);
    at('copied').textContent = 'Copied';
  });
  at('save').addEventListener('click', () => sessionStorage.removeItem(id));
})();
