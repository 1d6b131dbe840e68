//! What comes of damaged files, recipients and identities: a refusal, or what they hold.

use std::io::{Read, Write};

use data_encoding::BASE64;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::{AgeError, FileKey, Identity, Recipient, Sealed, UnfitRecipient, WorkFactor, Writer};
use crate::fuzz;
use crate::key::Passphrase;

const CONTENT: &[u8] = b"what was written";

fn identity() -> Identity {
    Identity::generate(&mut fuzz::steady_rng())
}

/// A file in ASCII armor.
fn armored(file: &[u8]) -> Vec<u8> {
    let mut text = String::from("-----BEGIN AGE ENCRYPTED FILE-----\n");
    for line in BASE64.encode(file).as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    text.push_str("-----END AGE ENCRYPTED FILE-----\n");
    text.into_bytes()
}

/// The content by the key that is found for a file.
fn content(
    file: &[u8],
    key: impl Fn(&Sealed<&[u8]>) -> Result<FileKey, AgeError>,
) -> Result<Vec<u8>, AgeError> {
    let sealed = Sealed::read(file)?;
    let key = key(&sealed)?;
    let mut content = Vec::new();
    sealed.open(&key)?.read_to_end(&mut content)?;
    Ok(content)
}

/// Whoever has no key makes no other content of a file.
#[test]
fn files() {
    let mut rng = fuzz::steady_rng();
    let identities = [identity()];
    let to = [
        identities[0].recipient(),
        Identity::generate(&mut rng).recipient(),
    ];
    let mut writer = Writer::to_recipients(Vec::new(), &to, &mut rng).unwrap();
    writer.write_all(CONTENT).unwrap();
    let (file, _) = writer.finish().unwrap();
    fuzz::damaged(&[armored(&file), file], |octets| {
        match content(octets, |sealed| sealed.unlock_with_identities(&identities)) {
            Ok(content) => {
                assert_eq!(content, CONTENT);
                true
            }
            Err(why) => {
                assert!(!why.to_string().is_empty());
                false
            }
        }
    });
}

/// The key is known, so that what a damaged stanza asks of scrypt takes no time.
#[test]
fn files_with_a_passphrase() {
    let mut rng = fuzz::steady_rng();
    let passphrase = Passphrase::from_octets(Zeroizing::new(b"correct horse battery".to_vec())).unwrap();
    let work = WorkFactor::new(1).unwrap();
    let mut writer = Writer::to_passphrase(Vec::new(), &passphrase, work, &mut rng).unwrap();
    writer.write_all(CONTENT).unwrap();
    let (file, key) = writer.finish().unwrap();
    fuzz::damaged(&[armored(&file), file], |octets| {
        content(octets, |_| Ok(key.clone())).is_ok_and(|content| {
            assert_eq!(content, CONTENT);
            true
        })
    });
}

#[test]
fn recipients() {
    let recipient = identity().recipient().to_string();
    fuzz::damaged_texts(&[recipient.to_uppercase(), recipient], |text| {
        match text.parse::<Recipient>() {
            Ok(read) => {
                assert_eq!(read.to_string(), text.to_ascii_lowercase());
                true
            }
            Err(why) => {
                if let UnfitRecipient::Plugin(name) = &why {
                    assert!(!name.contains('/'), "{text}");
                }
                false
            }
        }
    });
}

#[test]
fn identities() {
    let secret = identity().to_secret_text();
    let secret = secret.expose_secret();
    let file = format!(
        "# created: 2026-01-01T00:00:00Z\n\n{secret}\r\n{}\n",
        secret.to_lowercase()
    );
    fuzz::damaged_texts(&[file], |text| match Identity::all_in(text) {
        Ok(read) => {
            for identity in read {
                let written = identity.to_secret_text();
                assert!(text.to_ascii_uppercase().contains(written.expose_secret()));
            }
            true
        }
        Err(why) => {
            let told = why.to_string().to_ascii_uppercase();
            let repeats = secret.as_bytes()[16..]
                .windows(8)
                .any(|part| told.as_bytes().windows(8).any(|other| other == part));
            assert!(!repeats, "{why}");
            false
        }
    });
}
