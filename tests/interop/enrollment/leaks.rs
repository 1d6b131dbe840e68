//! What only the invited person may learn is nowhere once she has it: not in the home, and not in what the
//! program says.

use std::collections::{HashMap, HashSet};

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use serde_json::json;

use super::phone::Phone;
use super::{Invite, with_est};
use crate::support::{ISSUING_PASSPHRASE, files_below, invite_many, requests};

/// What is looked for: by their first eight octets, all texts that begin so.
#[derive(Default)]
struct Wanted(HashMap<[u8; 8], HashSet<Vec<u8>>>);

impl Wanted {
    fn add(&mut self, octets: impl Into<Vec<u8>>) {
        let octets = octets.into();
        let first = octets[..8].try_into().unwrap();
        self.0.entry(first).or_default().insert(octets);
    }

    /// In whatever form somebody might have written it down.
    fn add_encoded(&mut self, octets: &[u8]) {
        self.add(octets);
        self.add(HEXLOWER.encode(octets));
        self.add(HEXUPPER.encode(octets));
        self.add(BASE32_NOPAD.encode(octets));
        // Base64 of what it stands in: three ways to fall on its groups, of which the middle is certain.
        for before in 0..3 {
            let shifted = [vec![0; before], octets.to_vec()].concat();
            for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
                let text = encoding.encode(&shifted);
                let (from, to) = (if before == 0 { 0 } else { 4 }, text.len() / 4 * 4 - 4);
                self.add(&text.as_bytes()[from..to]);
            }
        }
    }

    fn secret(&mut self, secret: &str) {
        // The octets that it stands for: its alphabet is another one than that of RFC 4648.
        let letters = |text: &str| -> Vec<char> { text.chars().collect() };
        let (own, usual) = (
            letters("0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
            letters("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
        );
        let place = |letter| own.iter().position(|one| *one == letter).unwrap();
        let text: String = secret.chars().map(|letter| usual[place(letter)]).collect();
        self.add_encoded(&BASE32_NOPAD.decode(text.as_bytes()).unwrap());
        self.add_encoded(secret.as_bytes());
        self.add_encoded(secret.to_lowercase().as_bytes());
    }

    /// What there is of it in a text.
    fn found_in(&self, text: &[u8]) -> Option<String> {
        let begins = (0..text.len().saturating_sub(7)).find(|at| {
            let all = self.0.get(&text[*at..*at + 8]);
            all.is_some_and(|all| all.iter().any(|one| text[*at..].starts_with(one)))
        });
        begins.map(|at| {
            text[at..]
                .iter()
                .take(40)
                .map(|octet| char::from(*octet))
                .collect()
        })
    }
}

/// The numbers of six digits that stand somewhere by themselves.
fn numbers(text: &[u8]) -> HashSet<&[u8]> {
    let words = text.split(|octet| !octet.is_ascii_alphanumeric());
    words
        .filter(|word| word.len() == 6 && word.iter().all(u8::is_ascii_digit))
        .collect()
}

#[test]
fn no_secret_of_an_invite_is_written_or_said_anywhere() {
    let Some((serving, device)) = with_est() else {
        return;
    };
    let home = &serving.home;
    let mut wanted = Wanted::default();
    let mut codes = Vec::new();
    let mut said = Vec::new();
    let mut phone = Phone::connect(&serving.at_page(), serving.server.port).unwrap();
    let mut est = Phone::connect(&serving.at_device_face(None), device).unwrap();
    // By the command, which tells them on stdout and nowhere else.
    for n in 0..6 {
        let name = format!("e{n}");
        let more: &[&str] = if n % 2 == 0 { &["--code"] } else { &["--approve"] };
        let all = [&["invite", "create", &name, "--json"], more].concat();
        let finished = home.run(&all);
        said.push(finished.stderr.clone());
        let invite = Invite(finished.json());
        wanted.secret(invite.word("secret"));
        wanted.add_encoded(invite.word("link").split_once('#').unwrap().1.as_bytes());
        codes.extend(invite.0["code"].as_str().map(str::to_owned));
        let body =
            json!({ "secret": invite.word("secret"), "csr": serving.request(&name), "code": "000000" });
        said.push(serving.redeem(invite.word("id"), &body).1);
    }
    // And very many.
    let many = 1000;
    let invites = invite_many(&home.home(), ISSUING_PASSPHRASE, many, true);
    for (n, (invite, csr)) in invites.iter().zip(requests(many)).enumerate() {
        let (secret, code) = (&invite.secret, invite.code.as_ref().unwrap());
        wanted.secret(secret);
        codes.push(code.clone());
        // Every way to go wrong with it, and the right one.
        let path = format!("/i/{}", invite.id);
        let mut post = |media_type: &str, body: String| {
            let answer = phone.post(&path, media_type, &body).unwrap();
            said.push(answer.head + &answer.body);
            answer.status
        };
        if n % 10 == 0 {
            post(
                "application/json",
                json!({ "secret": secret, "csr": secret, "code": code }).to_string(),
            );
            post(
                "application/json",
                json!({ "secret": secret, "csr": csr, "colour": code }).to_string(),
            );
            post(
                "application/json",
                format!("{{\"secret\": \"{secret}\", \"code\": \"{code}\""),
            );
            post(
                "application/json",
                json!({ "secret": secret, "csr": csr }).to_string(),
            );
        }
        let right = json!({ "secret": secret, "csr": csr, "code": code }).to_string();
        if n % 2 == 0 {
            assert_eq!(post("application/json", right), 200);
        } else {
            let media_type = format!(
                "application/pkcs10\r\nAuthorization: Bearer {}.{secret}.{code}",
                invite.id
            );
            let answer = est
                .post("/.well-known/est/simpleenroll", &media_type, &csr)
                .unwrap();
            assert_eq!(answer.status, 200, "{}", answer.body);
            said.push(answer.head + &answer.body);
        }
    }
    for command in [
        &["invite", "list"][..],
        &["invite", "list", "--json"],
        &["invite", "show", &invites[0].id],
        &["audit", "--json"],
        &["list"],
        &["doctor"],
    ] {
        said.push(crate::support::finish(&mut home.pki(command), b"").text());
    }
    said.push(serving.log.text());
    let mut texts: Vec<(String, Vec<u8>)> = said
        .into_iter()
        .map(|text| ("what was said".to_owned(), text.into_bytes()))
        .collect();
    let files = files_below(&home.home());
    texts.extend(files.into_iter().map(|file| {
        let octets = std::fs::read(home.home().join(&file)).unwrap();
        (file, octets)
    }));
    assert!(texts.iter().any(|(name, _)| name == "ledger.jsonl"));
    for (name, octets) in &texts {
        assert_eq!(wanted.found_in(octets), None, "{name}");
    }
    // A code is short: where it would fall by chance into what is random it says nothing.
    for (name, octets) in texts.iter().filter(|(name, _)| !name.starts_with("index")) {
        let numbers = numbers(octets);
        let found = codes.iter().find(|code| numbers.contains(code.as_bytes()));
        assert_eq!(found, None, "{name}");
    }
}

#[test]
fn what_is_looked_for_would_be_found() {
    let secret = "0123456789ABCDEFGHJKMNPQRR";
    let mut wanted = Wanted::default();
    wanted.secret(secret);
    for text in [
        format!("{{\"token\":\"{secret}\"}}"),
        format!("x{}", secret.to_lowercase()),
        BASE64_NOPAD.encode(format!("ID:{secret}").as_bytes()),
        BASE64_NOPAD.encode(format!("ABCDEFGH:{secret}:123456").as_bytes()),
        HEXLOWER.encode(secret.as_bytes()),
    ] {
        assert!(wanted.found_in(text.as_bytes()).is_some(), "{text}");
    }
    // The octets that it stands for.
    let octets = [
        0x00, 0x44, 0x32, 0x14, 0xC7, 0x42, 0x54, 0xB6, 0x35, 0xCF, 0x84, 0x65, 0x3A, 0x56, 0xD7, 0xC6,
    ];
    for text in [HEXUPPER.encode(&octets), BASE64_NOPAD.encode(&octets)] {
        assert!(wanted.found_in(text.as_bytes()).is_some(), "{text}");
    }
    assert!(wanted.found_in(&octets[1..]).is_none());
    let found = numbers(b"{\"code\":\"123456\",\"sha\":\"a654321\"}");
    assert_eq!(found, HashSet::from([&b"123456"[..]]));
}
