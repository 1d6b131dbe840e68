// acme-client as an application uses it: `client.cjs URL KID MAC-KEY NAME NAME [renew|revoke]`.
const fs = require('node:fs');
const acme = require('acme-client');

const [url, kid, hmacKey, ...rest] = process.argv.slice(2);
const names = rest.slice(0, 2);
const what = rest[2] ?? 'order';

async function accountKey() {
    if (what === 'order') {
        fs.writeFileSync('acme-client.key', await acme.crypto.createPrivateRsaKey(), { mode: 0o600 });
    }
    return fs.readFileSync('acme-client.key');
}

/** What a server would be looked at for; nobody does where the authorization is valid already. */
async function prove(client, order) {
    for (const authorization of await client.getAuthorizations(order)) {
        if (authorization.status !== 'valid') {
            const [challenge] = authorization.challenges;
            await client.completeChallenge(challenge);
            await client.waitForValidStatus(challenge);
        }
    }
}

async function main() {
    const client = new acme.Client({
        directoryUrl: url,
        accountKey: await accountKey(),
        accountUrl: what === 'order' ? undefined : fs.readFileSync('acme-client.url', 'utf8'),
        externalAccountBinding: { kid, hmacKey },
    });
    if (what === 'order') {
        await client.createAccount({ termsOfServiceAgreed: true });
        fs.writeFileSync('acme-client.url', client.getAccountUrl());
    }
    if (what === 'revoke') {
        await client.revokeCertificate(fs.readFileSync('acme-client.pem'), { reason: 4 });
        return;
    }
    const identifiers = names.map((value) => ({ type: 'dns', value }));
    const order = await client.createOrder({ identifiers });
    await prove(client, order);
    const key = await acme.crypto.createPrivateEcdsaKey();
    const [, csr] = await acme.crypto.createCsr({ altNames: names }, key);
    const finalized = await client.finalizeOrder(order, csr);
    fs.writeFileSync('acme-client.pem', await client.getCertificate(finalized));
    // The account goes over to another key, and orders by that the next time.
    const next = await acme.crypto.createPrivateEcdsaKey();
    await client.updateAccountKey(next);
    fs.writeFileSync('acme-client.key', next, { mode: 0o600 });
}

main().catch((why) => {
    console.error(why);
    process.exit(1);
});
