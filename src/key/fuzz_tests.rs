//! What comes of damaged key files and passphrases: a refusal, or what they hold.

use pkcs8::pkcs5::pbes2::Parameters;
use zeroize::Zeroizing;

use super::{KeyError, Passphrase, SoftwareKey};
use crate::fuzz;

fn passphrase(octets: &[u8]) -> Result<Passphrase, super::UnfitPassphrase> {
    Passphrase::from_octets(Zeroizing::new(octets.to_vec()))
}

/// Whatever it asks for, it is known before any time is spent on it. Keys are opened where that takes none.
#[test]
fn encrypted_keys() {
    let mut rng = fuzz::steady_rng();
    let right = passphrase(b"correct horse battery").unwrap();
    let key = SoftwareKey::generate(&mut rng);
    let made = key.encrypt(&right, &mut rng).unwrap();
    fuzz::damaged_texts(&[made], |pem| match SoftwareKey::examine(pem) {
        Ok(()) => true,
        Err(why) => {
            assert!(!why.to_string().is_empty());
            false
        }
    });
}

/// A key, DER, under a derivation that takes no time, as no program uses it.
fn sealed(key: &SoftwareKey, right: &Passphrase, kdf: Parameters) -> Vec<u8> {
    let plain = key.pkcs8().unwrap();
    let info = pkcs8::PrivateKeyInfoRef::try_from(plain.as_slice()).unwrap();
    let sealed = info.encrypt_with_params(kdf, right.expose()).unwrap();
    sealed.as_bytes().to_vec()
}

fn by_scrypt() -> Parameters {
    let least = scrypt::Params::new(1, 1, 1).unwrap();
    Parameters::generate_scrypt_aes256cbc(least, &[7; 16], [9; 16]).unwrap()
}

/// What is behind the derivation is reached at once.
#[test]
fn keys_that_open_at_once() {
    let right = passphrase(b"correct horse battery").unwrap();
    let key = SoftwareKey::generate(&mut fuzz::steady_rng());
    let by_pbkdf2 = Parameters::generate_pbkdf2_sha256_aes256cbc(1, &[7; 16], [9; 16]).unwrap();
    let keys = [by_pbkdf2, by_scrypt()].map(|kdf| sealed(&key, &right, kdf));
    fuzz::damaged(&keys, |der| {
        if !is_quick(der) {
            return false;
        }
        match SoftwareKey::decrypt(&pem(der), &right) {
            Ok(opened) => {
                assert_eq!(opened.public_key(), key.public_key());
                true
            }
            Err(why) => {
                assert!(!matches!(why, KeyError::Encryption(_)), "{why}");
                false
            }
        }
    });
}

/// The library would make a number of bits of it, and has none for 0.
#[test]
fn a_cost_that_is_no_power_of_two_is_refused() {
    let right = passphrase(b"correct horse battery").unwrap();
    let key = SoftwareKey::generate(&mut fuzz::steady_rng());
    let der = sealed(&key, &right, by_scrypt());
    // N, r and p.
    let costs = [2, 1, 2, 2, 1, 1, 2, 1, 1];
    let place = der.windows(costs.len()).position(|part| part == costs).unwrap();
    assert!(SoftwareKey::decrypt(&pem(&der), &right).is_ok());
    for (at, value) in [(2, 0), (2, 1), (2, 3), (5, 0), (8, 0)] {
        let mut changed = der.clone();
        changed[place + at] = value;
        let refused = SoftwareKey::decrypt(&pem(&changed), &right);
        assert!(refused.is_err(), "{at}: {value}");
        let is_told = matches!(
            SoftwareKey::examine(&pem(&changed)),
            Err(KeyError::Unsupported(_))
        );
        assert!(is_told, "{at}: {value}");
    }
}

fn pem(der: &[u8]) -> String {
    der::pem::encode_string("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF, der).unwrap()
}

/// Whether a key opens within a thousandth of a second.
fn is_quick(der: &[u8]) -> bool {
    use pkcs8::pkcs5::pbes2::Kdf;
    let Ok(info) = pkcs8::EncryptedPrivateKeyInfoRef::try_from(der) else {
        return true;
    };
    match info
        .encryption_algorithm
        .pbes2()
        .map(|parameters| &parameters.kdf)
    {
        Some(Kdf::Pbkdf2(pbkdf2)) => pbkdf2.iteration_count < 300,
        Some(Kdf::Scrypt(scrypt)) => {
            let work = scrypt.cost_parameter.saturating_mul(u64::from(scrypt.block_size));
            work.saturating_mul(u64::from(scrypt.parallelization)) < 300
        }
        Some(_) | None => true,
    }
}

#[test]
fn passphrases() {
    let texts: [&[u8]; 3] = [
        b"correct horse battery\n",
        b"\xef\xbb\xbfcorrect horse battery\r\n",
        "zwölf Boxkämpfer jagen".as_bytes(),
    ];
    fuzz::damaged(&texts, |octets| match passphrase(octets) {
        Ok(read) => {
            let _ = (read.demand_strength(), read.demand_ascii());
            let text = read.expose();
            assert!(!text.is_empty() && !text.contains(['\n', '\r', '\0']) && text.len() < octets.len() + 1);
            true
        }
        Err(why) => {
            assert!(!why.to_string().is_empty());
            false
        }
    });
}
